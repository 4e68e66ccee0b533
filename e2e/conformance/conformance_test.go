// Package conformance is the official Gateway API conformance suite as a program, at the version that go.mod pins.
package conformance_test

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }

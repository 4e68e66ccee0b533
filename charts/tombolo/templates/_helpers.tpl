{{/* The operator's name: one operator serves a cluster, so that its cluster-wide objects need no release's name. */}}
{{- define "tombolo.name" -}}tombolo-operator{{- end }}

{{- define "tombolo.selector" -}}
app.kubernetes.io/name: tombolo-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tombolo.labels" -}}
{{ include "tombolo.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: tombolo
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* The installation's spec as it is wished for, with what opens the registry to the operator where it says nothing of that. */}}
{{- define "tombolo.installation" -}}
{{- $images := dict }}
{{- with .Values.image.pullSecrets }}{{ $_ := set $images "pullSecrets" . }}{{ end }}
{{- if ne .Values.image.pullPolicy "IfNotPresent" }}{{ $_ := set $images "pullPolicy" .Values.image.pullPolicy }}{{ end }}
{{- $spec := deepCopy .Values.installation.spec }}
{{- $said := get $spec "images" | default dict }}
{{- /* `merge` would take an empty list for one that is not there: who says [] wants none. */}}
{{- range $key, $value := $images }}{{ if not (hasKey $said $key) }}{{ $_ := set $said $key $value }}{{ end }}{{ end }}
{{- if $images }}{{ $_ := set $spec "images" $said }}{{ end }}
{{- toYaml $spec }}
{{- end }}

{{/* Where control planes may be: the release's namespace first. */}}
{{- define "tombolo.namespaces" -}}
{{ concat (list .Release.Namespace) .Values.operator.meshNamespaces | uniq | toJson }}
{{- end }}

{{/* The rules of the roles that the operator hands out, of all versions that it knows: whoever hands out may do it himself. */}}
{{- define "tombolo.handedOut" -}}
{{- $scope := .scope }}
{{- range $path, $_ := .files.Glob "files/roles-*.yaml" }}
{{ index ($.files.Get $path | fromYaml) $scope | toYaml }}
{{- end }}
{{- end }}

// Command etcd is etcd's server, of the version whose client Kubernetes is built with. Debian's is too old for lists that are streamed.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}

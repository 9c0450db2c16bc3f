// Command etcd-tools is etcd, etcdctl and the part of etcdutl about snapshots in one program; the name it is called by chooses.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "etcdctl":
		ctlv3.MustStart()
	case "etcdutl":
		c := &cobra.Command{Use: name, SilenceUsage: true}
		c.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "fields, json, protobuf, simple or table")
		c.AddCommand(etcdutl.NewSnapshotCommand(), etcdutl.NewHashKVCommand(), etcdutl.NewVersionCommand())
		if c.Execute() != nil {
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "called by a name that is none of etcd, etcdctl, etcdutl:", name)
		os.Exit(2)
	}
}

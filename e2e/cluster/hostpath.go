package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "holdfast.dev/hostpath"

// hostPath makes one directory per claim under root.
type hostPath struct{ root string }

// ShouldProvision refuses every claim that asks for content: this provisioner can only give empty directories, and an
// empty volume in place of asked-for data is the fault the project exists to prevent. A populator serves such claims.
func (p hostPath) ShouldProvision(_ context.Context, c *v1.PersistentVolumeClaim) bool {
	return c.Spec.DataSource == nil && c.Spec.DataSourceRef == nil
}

func (p hostPath) Provision(ctx context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	if o.PVC.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("claim.spec.selector is not supported")
	}
	// The PV is named after the claim's UID, so a retry finds the directory of its first try.
	dir := filepath.Join(p.root, o.PVName)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Past the umask: the kubelet applies no fsGroup to hostPath volumes, and pods come with any user.
	if err := os.Chmod(dir, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	kind := v1.HostPathDirectory
	pv := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: dir, Type: &kind}},
		},
	}
	if o.SelectedNodeName != "" {
		pv.Spec.NodeAffinity = onNode(o.SelectedNodeName)
	}
	return pv, controller.ProvisioningFinished, nil
}

func onNode(name string) *v1.VolumeNodeAffinity {
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{name}}},
	}}}}
}

func (p hostPath) Delete(_ context.Context, pv *v1.PersistentVolume) error {
	// The path comes from an object anyone with rights on PVs can edit: only our own layout is ever removed.
	if pv.Spec.HostPath == nil || filepath.Dir(pv.Spec.HostPath.Path) != filepath.Clean(p.root) {
		return &controller.IgnoredError{Reason: "not a directory of this provisioner"}
	}
	return os.RemoveAll(pv.Spec.HostPath.Path)
}

func newHostPathCommand() *cobra.Command {
	var kubeconfig, root string
	c := &cobra.Command{
		Use:   "hostpath-provisioner",
		Short: "Serves " + provisionerName + " claims with directories",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			root, err := filepath.Abs(root)
			if err != nil {
				return err
			}
			cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			// client-go's default of 5 requests a second would be what a benchmark of restores measures.
			cfg.QPS, cfg.Burst = 200, 400
			cs, err := kubernetes.NewForConfig(cfg)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			// A directory either can be made or cannot: try for about a minute, then leave the claim with its events.
			controller.NewProvisionController(ctx, cs, provisionerName, hostPath{root},
				controller.LeaderElection(false),
				controller.Threadiness(8),
				controller.FailedProvisionThreshold(10),
				controller.FailedDeleteThreshold(10),
				controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](200*time.Millisecond, 10*time.Second)),
			).Run(ctx)
			return nil
		},
	}
	c.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of an administrator")
	c.Flags().StringVar(&root, "root", "", "directory that holds one directory per volume")
	_ = c.MarkFlagRequired("root")
	return c
}

// Command driver serves volumes that are directories of the one node, and snapshots that are copies of them: a CSI driver
// for tests of volume snapshots. It also registers itself with the kubelet, which elsewhere is a container of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	driverName    = "csi.holdfast.dev"
	driverVersion = "1"
)

func main() {
	log.SetFlags(log.Lmicroseconds)
	root := flag.String("root", "", "directory that holds volumes and snapshots")
	socket := flag.String("socket", "/csi/csi.sock", "where CSI is served")
	kubelet := flag.String("kubelet", "", "the kubelet's root directory, as the kubelet and this process see it")
	nodeName := flag.String("node", "", "name of the node")
	flag.Parse()
	if *root == "" || *kubelet == "" || *nodeName == "" {
		log.Fatal("--root, --kubelet and --node are needed")
	}
	store := store{root: *root}
	if err := store.open(); err != nil {
		log.Fatal(err)
	}
	freezer := freezer{kubelet: filepath.Clean(*kubelet)}
	freezer.wake(filepath.Join("/", filepath.Base(*root), "volumes"))
	// As the kubelet, outside of this container, sees the socket.
	endpoint := filepath.Join(*kubelet, "plugins", driverName, "csi.sock")

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	serve(ctx, *socket, func(s *grpc.Server) {
		csi.RegisterIdentityServer(s, identity{})
		csi.RegisterControllerServer(s, &controller{store: store, freezer: freezer})
		csi.RegisterNodeServer(s, &node{name: *nodeName, store: store})
	})
	serve(ctx, filepath.Join(*kubelet, "plugins_registry", driverName+"-reg.sock"), func(s *grpc.Server) {
		registration.RegisterRegistrationServer(s, registrar{endpoint: endpoint})
	})
	log.Printf("%s serves %s for node %s", driverName, *root, *nodeName)
	<-ctx.Done()
}

// serve answers on a Unix socket until ctx is done.
func serve(ctx context.Context, socket string, register func(*grpc.Server)) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		log.Fatal(err)
	}
	// Left by a process that was killed.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logFailures))
	register(server)
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
}

func logFailures(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	reply, err := handler(ctx, request)
	if err != nil {
		log.Printf("%s %v: %v", info.FullMethod, request, err)
	}
	return reply, err
}

// registrar tells the kubelet where the driver is.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: driverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !s.PluginRegistered {
		// Started again, it registers again.
		log.Fatal("the kubelet refused the driver: ", s.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

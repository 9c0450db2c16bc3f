package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: driverVersion}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{Type: &csi.PluginCapability_Service_{
		Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE},
	}}}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

type controller struct {
	csi.UnimplementedControllerServer
	store   store
	freezer freezer
	// One change at a time: this is a test's storage, and a copy is quick.
	mu sync.Mutex
}

func (*controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	reply := &csi.ControllerGetCapabilitiesResponse{}
	for _, c := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
	} {
		reply.Capabilities = append(reply.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: c}},
		})
	}
	return reply, nil
}

func (c *controller) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if err := supported(r.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := note{Bytes: r.GetCapacityRange().GetRequiredBytes()}
	kind := ""
	switch source := r.GetVolumeContentSource(); {
	case source.GetSnapshot() != nil:
		kind, n.Source = "snapshots", source.GetSnapshot().GetSnapshotId()
	case source.GetVolume() != nil:
		kind, n.Source = "volumes", source.GetVolume().GetVolumeId()
	}
	from := ""
	if kind != "" {
		origin, err := c.store.find(kind, n.Source)
		if err != nil {
			return nil, refusal(err)
		}
		if n.Bytes < origin.Bytes {
			return nil, status.Errorf(codes.OutOfRange, "%d bytes asked for, the source has %d", n.Bytes, origin.Bytes)
		}
		from = filepath.Join(c.store.root, kind, n.Source, "data")
		if kind == "volumes" {
			defer c.freezer.stop(volumePath(c.store.root, n.Source))()
		}
	}
	n, err := c.store.add("volumes", r.GetName(), n, from)
	if err != nil {
		return nil, refusal(err)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: r.GetName(), CapacityBytes: n.Bytes, ContentSource: r.GetVolumeContentSource(),
	}}, nil
}

func (c *controller) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &csi.DeleteVolumeResponse{}, refusal(c.store.remove("volumes", r.GetVolumeId()))
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if _, err := c.store.find("volumes", r.GetVolumeId()); err != nil {
		return nil, refusal(err)
	}
	if err := supported(r.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.GetVolumeCapabilities()},
	}, nil
}

func (c *controller) CreateSnapshot(_ context.Context, r *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	volume := r.GetSourceVolumeId()
	origin, err := c.store.find("volumes", volume)
	if err != nil {
		return nil, refusal(err)
	}
	n := note{Bytes: origin.Bytes, Source: volume}
	// Asked again for what there is, nobody is stopped.
	if _, err := c.store.find("snapshots", r.GetName()); err != nil {
		defer c.freezer.stop(volumePath(c.store.root, volume))()
	}
	n, err = c.store.add("snapshots", r.GetName(), n, filepath.Join(c.store.root, "volumes", volume, "data"))
	if err != nil {
		return nil, refusal(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: snapshot(r.GetName(), n)}, nil
}

func (c *controller) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &csi.DeleteSnapshotResponse{}, refusal(c.store.remove("snapshots", r.GetSnapshotId()))
}

func (c *controller) ListSnapshots(_ context.Context, r *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	ids, err := c.store.ids("snapshots")
	if err != nil {
		return nil, refusal(err)
	}
	reply := &csi.ListSnapshotsResponse{}
	for _, id := range ids {
		n, err := c.store.find("snapshots", id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, refusal(err)
		}
		// The page starts after the last one of the page before.
		wanted := id > r.GetStartingToken() && (r.GetSnapshotId() == "" || r.GetSnapshotId() == id) &&
			(r.GetSourceVolumeId() == "" || r.GetSourceVolumeId() == n.Source)
		if !wanted {
			continue
		}
		if r.GetMaxEntries() > 0 && len(reply.Entries) == int(r.GetMaxEntries()) {
			reply.NextToken = reply.Entries[len(reply.Entries)-1].Snapshot.SnapshotId
			break
		}
		reply.Entries = append(reply.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: snapshot(id, n)})
	}
	return reply, nil
}

func snapshot(id string, n note) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: id, SourceVolumeId: n.Source, SizeBytes: n.Bytes, CreationTime: timestamppb.New(n.Made), ReadyToUse: true,
	}
}

// volumePath is how a volume's directory ends in /proc/PID/mountinfo, wherever its file system is mounted.
func volumePath(root, id string) string {
	return filepath.Join("/", filepath.Base(root), "volumes", id, "data")
}

// supported refuses what a directory can not be.
func supported(all []*csi.VolumeCapability) error {
	for _, c := range all {
		if c.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "block volumes are not served: a volume is a directory")
		}
	}
	return nil
}

// refusal gives an error its code; nil stays nil.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, errUsed):
		return status.Error(codes.AlreadyExists, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

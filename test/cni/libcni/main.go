// Command libcni is a container runtime in one call: it reads what to do as JSON from its first argument, does it
// with the library that containerd and CRI-O use, and prints the outcome as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type call struct {
	Verb   string
	Conf   string
	Bin    string
	Cache  string
	ID     string
	Netns  string
	Ifname string
	Args   [][2]string
	Caps   map[string]interface{}
	Valid  []types.GCAttachment
}

func do(c call) (interface{}, error) {
	ctx := context.Background()
	list, err := libcni.NetworkConfFromFile(c.Conf)
	if err != nil {
		return nil, err
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{c.Bin}, c.Cache, nil)
	pod := &libcni.RuntimeConf{
		ContainerID: c.ID, NetNS: c.Netns, IfName: c.Ifname, Args: c.Args, CapabilityArgs: c.Caps,
	}
	switch c.Verb {
	case "add":
		return cni.AddNetworkList(ctx, list, pod)
	case "check":
		return nil, cni.CheckNetworkList(ctx, list, pod)
	case "del":
		return nil, cni.DelNetworkList(ctx, list, pod)
	case "gc":
		return nil, cni.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: c.Valid})
	case "status":
		return nil, cni.GetStatusNetworkList(ctx, list)
	case "validate":
		return cni.ValidateNetworkList(ctx, list)
	case "negotiated":
		return list.CNIVersion, nil
	case "supported":
		info, err := cni.GetVersionInfo(ctx, "weft-cni")
		if err != nil {
			return nil, err
		}
		return info.SupportedVersions(), nil
	case "cached":
		attachments, err := cni.GetCachedAttachments("")
		ids := []string{}
		for _, one := range attachments {
			ids = append(ids, one.ContainerID)
		}
		return ids, err
	case "result":
		return cni.GetNetworkListCachedResult(list, pod)
	}
	return nil, fmt.Errorf("there is no verb %q", c.Verb)
}

func main() {
	var c call
	if err := json.Unmarshal([]byte(os.Args[1]), &c); err != nil {
		panic(err)
	}
	outcome, err := do(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcome); err != nil {
		panic(err)
	}
}

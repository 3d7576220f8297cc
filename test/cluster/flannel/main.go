// Command flanneld runs flannel's own packages in the way that k3s does inside of its process: the kube subnet manager,
// vxlan or WireGuard, rules by iptables. flannel's command of this name also imports a cloud's backend, whose module
// is too large for some proxies.
package main

import (
	"context"
	"flag"
	"log"
	"math/big"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	_ "github.com/flannel-io/flannel/pkg/backend/wireguard"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
)

const (
	annotations   = "flannel.alpha.coreos.com"
	subnetFile    = "/run/flannel/subnet.env"
	resyncSeconds = 5
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	node := flag.String("node", "", "name of this node")
	kubeconfig := flag.String("kubeconfig", "", "file with the way to the API server")
	netConf := flag.String("net-conf", "", "file with flannel's net-conf.json")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	// The only way to tell it who we are.
	must(os.Setenv("NODE_NAME", *node))
	manager, err := kube.NewSubnetManager(ctx, "", *kubeconfig, annotations, *netConf, true)
	must(err)
	config, err := manager.GetNetworkConfig(ctx)
	must(err)
	families, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	must(err)
	external, err := ipmatch.LookupExtIface("", "", "", families, ipmatch.PublicIPOpts{})
	must(err)

	var running sync.WaitGroup
	way, err := backend.NewManager(ctx, manager, external).GetBackend(config.BackendType)
	must(err)
	network, err := way.RegisterNetwork(ctx, &running, config)
	must(err)
	lease := network.Lease()

	rules := &iptables.IPTablesManager{}
	must(rules.Init(ctx))
	noIPv6 := ip.IP6Net{IP: (*ip.IP6)(new(big.Int))}
	must(rules.SetupAndEnsureMasqRules(ctx,
		config.Network, lease.Subnet, ip.IP4Net{},
		config.IPv6Network, lease.IPv6Subnet, noIPv6,
		lease, resyncSeconds, false))
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resyncSeconds)
	must(manager.HandleSubnetFile(subnetFile, config, true, lease.Subnet, lease.IPv6Subnet, network.MTU()))

	running.Add(1)
	go func() {
		defer running.Done()
		network.Run(ctx)
	}()
	must(manager.CompleteLease(ctx, lease, &running))
	running.Wait()
}

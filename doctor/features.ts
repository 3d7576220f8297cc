/** What of the kernel weft needs and has, and what is lost without it. Pure. */
import { ok } from './grades.ts';
import type { Check, KernelFacts } from './types.ts';

export function wireguard({ status, kernelRelease }: KernelFacts): Check {
  const id = 'kernel wireguard';
  if (status.engine.kind === 'kernel')
    return ok(id, `WireGuard of the kernel ${kernelRelease} carries the tunnels`);
  if (status.engine.kind === 'none')
    return {
      id,
      grade: 'error',
      what: `there is no WireGuard, so no tunnel: ${status.engine.reason}`,
      cure: 'load the module (modprobe wireguard; Linux 5.6 or later has it), or install with manifests/weft-userspace.yaml',
    };
  return {
    id,
    grade: 'warning',
    what: `the kernel ${kernelRelease} has no WireGuard; wireguard-go carries the tunnels: several times slower, and with every packet through a process`,
    cure: 'modprobe wireguard (Linux 5.6 or later has it), remove the link weft-wg and restart the agent on this node',
  };
}

function nft({ tables, antiSpoofing }: KernelFacts): readonly Check[] {
  const mesh: Check = tables.mesh
    ? ok('kernel nf_tables', 'nf_tables holds weft’s rules: nothing of pods leaves in clear')
    : {
        id: 'kernel nf_tables',
        grade: 'error',
        what: 'the nft table inet weft is not there: nothing keeps packets of pods from leaving in clear, and pods have no way out',
        cure: 'modprobe nf_tables nft_ct nft_masq, or a kernel with CONFIG_NF_TABLES_INET; weft status says what nft answered',
      };
  if (!antiSpoofing)
    return [
      mesh,
      {
        id: 'kernel nf_tables bridge',
        grade: 'info',
        what: 'antiSpoofing is off by setting: a pod may send with the address of another one',
        cure: undefined,
      },
    ];
  const bridge: Check = tables.spoofing
    ? ok('kernel nf_tables bridge', 'no pod can send with the address or MAC of another one')
    : {
        id: 'kernel nf_tables bridge',
        grade: 'error',
        what: 'the nft table bridge weft is not there: pods can send as each other, and new pods are refused',
        cure: 'a kernel with CONFIG_NF_TABLES_BRIDGE, or the setting antiSpoofing: false',
      };
  return [mesh, bridge];
}

/** Loaded by the kernel itself when they are first used, so their absence proves nothing. */
const LAZY: readonly (readonly [string, string, string])[] = [
  ['ifb', 'limits of what pods send (kubernetes.io/egress-bandwidth)', 'ifb'],
  ['sch_tbf', 'limits of what pods receive (kubernetes.io/ingress-bandwidth)', 'sch_tbf'],
];

const lazy = ({ modules }: KernelFacts): readonly Check[] =>
  LAZY.map(([module, use, load]) =>
    modules[module]
      ? ok(`kernel ${module}`, `${module} is there, for ${use}`)
      : {
          id: `kernel ${module}`,
          grade: 'info' as const,
          what: `${module} is not loaded; it is needed for ${use} only, and loaded then where the kernel has it`,
          cure: `to be sure: modprobe ${load}`,
        },
  );

function ipv6({ status, sysctls }: KernelFacts): readonly Check[] {
  if (!status.podCidrs.some(cidr => cidr.includes(':'))) return [];
  const off = sysctls['ipv6/conf/all/disable_ipv6'];
  if (off === '0') return [ok('kernel ipv6', 'the kernel has IPv6, as this node’s podCIDRs do')];
  return [
    {
      id: 'kernel ipv6',
      grade: 'error',
      what: `this node has an IPv6 podCIDR, but its kernel has IPv6 ${off === undefined ? 'not at all' : 'switched off'}`,
      cure: 'sysctl net.ipv6.conf.all.disable_ipv6=0, without ipv6.disable=1 on the kernel’s command line',
    },
  ];
}

function forwarding({ status, sysctls }: KernelFacts): Check {
  const wanted = [
    'ipv4/ip_forward',
    ...(status.podCidrs.some(cidr => cidr.includes(':')) ? ['ipv6/conf/all/forwarding'] : []),
  ];
  const wrong = wanted.filter(key => sysctls[key] !== '1');
  if (wrong.length === 0) return ok('forwarding', 'the kernel forwards packets');
  const names = wrong.map(key => `net.${key.replaceAll('/', '.')}`);
  return {
    id: 'forwarding',
    grade: 'error',
    what: `${names.join(' and ')} is not 1, so pods reach nobody; weft sets it, and somebody sets it back`,
    cure: `find who does: grep -rs forward /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d; then sysctl ${names.map(n => `${n}=1`).join(' ')}`,
  };
}

/** Beyond this new connections are soon refused. */
const FULL = 0.9;

function conntrack({ sysctls }: KernelFacts): readonly Check[] {
  const [count, max] = [sysctls['netfilter/nf_conntrack_count'], sysctls['netfilter/nf_conntrack_max']].map(
    Number,
  );
  if (count === undefined || max === undefined || !(max > 0) || Number.isNaN(count)) return [];
  if (count / max < FULL) return [ok('conntrack', `${count} of ${max} connections are tracked`)];
  return [
    {
      id: 'conntrack',
      grade: 'warning',
      what: `${count} of ${max} connections are tracked: when the table is full, new ones are dropped`,
      cure: `sysctl net.netfilter.nf_conntrack_max=${max * 2}`,
    },
  ];
}

/** All but WireGuard. */
export const kernelChecks = (facts: KernelFacts): readonly Check[] => [
  ...nft(facts),
  forwarding(facts),
  ...ipv6(facts),
  ...conntrack(facts),
  ...lazy(facts),
];

export const features = (facts: KernelFacts): readonly Check[] => [wireguard(facts), ...kernelChecks(facts)];

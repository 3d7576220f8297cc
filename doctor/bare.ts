/** A node without its agent: what can be seen of it from outside → what a doctor says. Pure. */
import { BRIDGE, CONFLIST, WG_LINK } from '../constants.ts';
import { findings } from '../host/findings.ts';
import { FRESH_MS } from '../mesh/endpoint.ts';
import { duration } from '../mesh/reasons.ts';
import { kernelChecks, wireguard } from './features.ts';
import { ok, worstFirst } from './grades.ts';
import type { BareFacts, Check, Grade } from './types.ts';

const bad = (id: string, grade: Grade, what: string, cure?: string): Check => ({ id, grade, what, cure });

const podsOf = (node: string | undefined): string =>
  `kubectl -n weft get pods -o wide${node === undefined ? '' : ` --field-selector spec.nodeName=${node}`}`;

function agent({ agent: trouble, node }: BareFacts): Check {
  if (trouble === undefined)
    return ok('agent', 'the agent of this node answers: weft doctor without --local says more');
  const logs =
    'kubectl -n weft logs POD --previous; where no API server answers: crictl ps -a --name agent, crictl logs ID';
  return bad(
    'agent',
    'error',
    `the agent of this node cannot be asked: ${trouble}. What runs goes on as it is; new pods wait, and nothing follows changes`,
    `look why its pod does not run: ${podsOf(node)}; ${logs}`,
  );
}

function settings({ settings: { path, error } }: BareFacts): readonly Check[] {
  if (path === undefined) return [];
  if (error === undefined) return [ok('settings', `${path} is valid`)];
  return [
    bad(
      'settings',
      'error',
      `${path} has errors, and with them no agent starts:\n${error}`,
      'kubectl -n weft edit configmap weft-config; docs/settings.md has all settings',
    ),
  ];
}

function key({ key: found, device }: BareFacts): Check {
  const id = 'key';
  if (!found.ok) return bad(id, 'error', found.error);
  if (found.value === undefined)
    return bad(
      id,
      'warning',
      'this node has no key yet: no agent has ever run here, or its state was removed',
      'the agent makes one when it starts',
    );
  if (device?.publicKey !== undefined && device.publicKey !== found.value)
    return bad(
      id,
      'warning',
      'WireGuard uses another key than the one on disk, as in the middle of a rotation; the agent completes it when it starts',
    );
  return ok(id, 'the key on disk is whole, and the one in use');
}

const named = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} …` : names.join(', ');

function tunnels(facts: BareFacts): Check {
  const id = 'tunnels';
  const { device, engine, now, names } = facts;
  if (engine === undefined)
    return bad(
      id,
      'error',
      `there is no link ${WG_LINK}: this node has no tunnel to anybody`,
      'the agent makes it when it starts',
    );
  if (device === undefined)
    return bad(
      id,
      'error',
      `no WireGuard answers for the link ${WG_LINK}: all tunnels of this node are down`,
      'where the kernel has no WireGuard: is the pod of weft-wireguard running here, or a process wireguard-go? The agent starts it again',
    );
  if (device.peers.length === 0)
    return bad(id, 'warning', `${WG_LINK} has no peers: its agent has not learnt of any other node yet`);
  const stale = device.peers.filter(p => p.latestHandshake === 0 || now - p.latestHandshake > FRESH_MS);
  const fresh = device.peers.length - stale.length;
  if (stale.length === 0) return ok(id, `all ${fresh} tunnels have a session`);
  const who = stale.map(p => {
    const age = p.latestHandshake === 0 ? 'never' : `${duration(now - p.latestHandshake)} ago`;
    return `${names.get(p.publicKey) ?? p.publicKey} (${age})`;
  });
  return bad(
    id,
    fresh === 0 ? 'error' : 'warning',
    `${fresh} of ${device.peers.length} tunnels have a session; the others’ last handshakes: ${named(who)}`,
    `are those nodes up, and UDP ${device.listenPort} open on the way?`,
  );
}

function data({ bridge, routes, leases, queued }: BareFacts): readonly Check[] {
  const id = 'pods’ wires';
  if (!bridge)
    return [
      bad(
        id,
        'error',
        `there is no bridge ${BRIDGE}: no pod of this node has a network by weft`,
        'the agent makes it when it starts',
      ),
    ];
  const waiting = queued === 0 ? '' : `; ${queued} removed pods wait for the agent to take their wires away`;
  return [
    ok(id, `${leases} pod interfaces are wired here${waiting}`),
    routes > 0
      ? ok('routes', `${routes} routes of weft’s are in place`)
      : bad(
          'routes',
          'error',
          'no route of weft’s is here: pods of this node reach no other node',
          'the agent sets them when it starts',
        ),
  ];
}

function plugin({ cni, settings: { path } }: BareFacts): readonly Check[] {
  const { binDir, confDir, binary, config, earlier, ready } = cni;
  const missing = [...(binary ? [] : [`${binDir}/weft-cni`]), ...(config ? [] : [`${confDir}/${CONFLIST}`])];
  const installed = bad(
    'plugin',
    'error',
    `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not there${path === undefined ? ' (by the defaults: the settings were not found here)' : ''}: the container runtime has no network plugin, and the node is NotReady`,
    `the agent installs them once it is ready; where the runtime looks elsewhere, set cniBinDir and cniConfDir${path === undefined ? ', and here say --config FILE' : ''}`,
  );
  return [
    missing.length === 0
      ? ok('plugin', 'binary and configuration are where the container runtime looks')
      : installed,
    ...earlier.map(file =>
      bad(
        `other plugin ${file}`,
        'error',
        `${confDir}/${file} comes before weft’s configuration, so the runtime takes that plugin`,
        `remove ${file} once its plugin is uninstalled`,
      ),
    ),
    ...(ready
      ? []
      : [
          bad(
            'ready since boot',
            'warning',
            'weft has not been ready on this node since its boot, so the node is NotReady until it is',
          ),
        ]),
  ];
}

/** Without `nft` nothing can be said of rules. */
function rules({ nft }: BareFacts): readonly Check[] {
  return nft === undefined
    ? []
    : [
        bad(
          'nft',
          'info',
          `rules and firewalls could not be looked at: ${nft}`,
          'run it from weft’s image, which has nft',
        ),
      ];
}

/** Worst first; the agent is always the first of its grade. */
export const bareChecks = (facts: BareFacts): readonly Check[] =>
  worstFirst([
    agent(facts),
    ...settings(facts),
    key(facts),
    tunnels(facts),
    ...data(facts),
    ...plugin(facts),
    ...(facts.host === undefined ? [] : findings(facts.host)).map(
      ({ id, severity, what, cure }): Check => ({ id, grade: severity, what, cure }),
    ),
    ...rules(facts),
    ...(facts.engine === undefined ? [] : [wireguard({ ...facts, status: facts.like })]),
    ...kernelChecks({ ...facts, status: facts.like }).filter(
      check => facts.nft === undefined || !check.id.startsWith('kernel nf_tables'),
    ),
  ]);

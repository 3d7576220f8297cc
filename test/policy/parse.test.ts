/** What of API objects is read, and what follows from what is not understood. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newCompiler } from '../../policy/compile.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { parseNamespace, parsePod, parsePolicy } from '../../policy/parse.ts';
import type { Cluster, Packet, Policy } from '../../policy/types.ts';
import { podOf, worldWith } from './small.ts';
import { toCluster } from './world.ts';

function parsed(spec: unknown): Policy {
  const result = parsePolicy({ metadata: { namespace: 'x', name: 'p' }, spec });
  assert.ok(result.ok);
  return result.value;
}

const PODS = [podOf('x/a', 10), podOf('x/b', 11), podOf('x/c', 12)];
const with_ = (policy: Policy): Cluster => ({ ...toCluster(worldWith(PODS, []), 'n0'), policies: [policy] });
const reaches = (policy: Policy, from: number, port = 80): boolean =>
  evaluate(with_(policy), { src: `10.42.0.${from}`, dst: '10.42.0.10', protocol: 'TCP', port } as Packet)
    .allowed;

/** The spec, which field is wrong, a word of the message, and whether b reaches a on port 80 all the same. */
const BROKEN: readonly (readonly [string, unknown, string, RegExp, boolean])[] = [
  [
    'an unknown kind of peer',
    { ingress: [{ from: [{ serviceAccount: 'web' }] }] },
    'spec.ingress[0].from[0].serviceAccount',
    /does not know this field/,
    false,
  ],
  [
    'an unknown kind of peer beside a good one',
    { ingress: [{ from: [{ dns: 'b' }, { podSelector: {} }] }] },
    'spec.ingress[0].from[0].dns',
    /admits nobody/,
    true,
  ],
  [
    'a peer that is narrowed by an unknown field',
    { ingress: [{ from: [{ podSelector: {}, onlyOn: 'mondays' }] }] },
    'spec.ingress[0].from[0].onlyOn',
    /may narrow/,
    false,
  ],
  [
    'a rule that is narrowed by an unknown field',
    { ingress: [{ action: 'Deny' }] },
    'spec.ingress[0].action',
    /this rule admits nothing/,
    false,
  ],
  [
    'a policy that is narrowed by an unknown field',
    { ingress: [{}], priority: 3 },
    'spec.priority',
    /the policy admits nobody/,
    false,
  ],
  ['an empty peer', { ingress: [{ from: [{}] }] }, 'spec.ingress[0].from[0]', /either ipBlock/, false],
  [
    'both kinds of peer',
    { ingress: [{ from: [{ podSelector: {}, ipBlock: { cidr: '0.0.0.0/0' } }] }] },
    'spec.ingress[0].from[0]',
    /either ipBlock/,
    false,
  ],
  [
    'a network that is none',
    { ingress: [{ from: [{ ipBlock: { cidr: '10.42.0.0/33' } }] }] },
    'spec.ingress[0].from[0].ipBlock.cidr',
    /not a network such as/,
    false,
  ],
  [
    'an exception that is none',
    { ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['ten'] } }] }] },
    'spec.ingress[0].from[0].ipBlock.except[0]',
    /not a network/,
    false,
  ],
  [
    'an unknown protocol',
    { ingress: [{ ports: [{ protocol: 'QUIC', port: 80 }] }] },
    'spec.ingress[0].ports[0].protocol',
    /none of TCP, UDP and SCTP/,
    false,
  ],
  [
    'a port beyond the last',
    { ingress: [{ ports: [{ port: 70_000 }] }] },
    'spec.ingress[0].ports[0]',
    /from 1 to 65535/,
    false,
  ],
  [
    'an end before its begin',
    { ingress: [{ ports: [{ port: 80, endPort: 79 }] }] },
    'spec.ingress[0].ports[0]',
    /endPort not below/,
    false,
  ],
  [
    'an end of a name',
    { ingress: [{ ports: [{ port: 'web', endPort: 90 }] }] },
    'spec.ingress[0].ports[0]',
    /names no port/,
    false,
  ],
  [
    'a number as text',
    { ingress: [{ ports: [{ port: '80' }] }] },
    'spec.ingress[0].ports[0]',
    /names no port/,
    false,
  ],
  [
    'an unknown operator among peers',
    {
      ingress: [
        { from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'Gt', values: ['1'] }] } }] },
      ],
    },
    'spec.ingress[0].from[0].podSelector.matchExpressions[0]',
    /In, NotIn, Exists, DoesNotExist/,
    false,
  ],
  // Selects at least what was meant: the pod is closed.
  [
    'an unknown operator among pods',
    { podSelector: { matchExpressions: [{ key: 'app', operator: 'Gt', values: ['1'] }] } },
    'spec.podSelector.matchExpressions[0]',
    /In, NotIn/,
    false,
  ],
  ['rules that are no list', { ingress: { from: [] } }, 'spec.ingress', /not a list/, false],
  [
    'peers that are no list',
    { ingress: [{ from: { podSelector: {} } }] },
    'spec.ingress[0].from',
    /not a list/,
    false,
  ],
  ['a rule that is none', { ingress: ['all'] }, 'spec.ingress[0]', /not an object/, false],
  ['a spec that is none', 'closed', 'spec', /not an object/, false],
  [
    'an unknown type of policy',
    { policyTypes: ['Ingress', 'Sideways'] },
    'spec.policyTypes',
    /Ingress and Egress/,
    false,
  ],
];

for (const [what, spec, field, message, passes] of BROKEN)
  test(`broken: ${what} is said, isolates, and lets in ${passes ? 'what is good' : 'nobody'}`, () => {
    const policy = parsed(spec);
    const error = policy.errors.find(one => one.field === field);
    assert.match(error?.message ?? JSON.stringify(policy.errors), message);
    assert.equal(reaches(policy, 11), passes);
    assert.notEqual(policy.ingress, undefined, 'isolates');
  });

test('what is whole has no errors', () => {
  const policy = parsed({
    podSelector: { matchLabels: { app: 'a' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      { from: [{ ipBlock: { cidr: '10.42.0.5/16', except: null } }], ports: [{ port: 80, endPort: null }] },
    ],
    egress: null,
  });
  assert.deepEqual(policy.errors, []);
  assert.deepEqual(policy.egress, []);
});

test('networks as the API server takes them: host bits and leading zeros', () => {
  for (const [text, cidr] of [
    ['10.42.7.9/16', '10.42.0.0/16'],
    ['010.042.000.000/16', '10.42.0.0/16'],
    ['FD42:0:0:1::9/64', 'fd42:0:0:1::/64'],
    ['::ffff:10.42.7.9/112', '10.42.0.0/16'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
  ]) {
    const [rule] = parsed({ ingress: [{ from: [{ ipBlock: { cidr: text } }] }] }).ingress ?? [];
    assert.deepEqual(rule?.peers, [{ kind: 'block', cidr, excepts: [] }], text);
  }
});

test('pods: named ports of containers and sidecars, addresses, and what is done', () => {
  const result = parsePod({
    metadata: { namespace: 'x', name: 'a', uid: 'u', labels: { app: 'a', odd: 3 } },
    spec: {
      nodeName: 'n1',
      containers: [{ ports: [{ name: 'web', containerPort: 80 }, { containerPort: 81 }] }, {}],
      initContainers: [
        { restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 53, protocol: 'UDP' }] },
        { ports: [{ name: 'gone', containerPort: 9 }] },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '10.42.0.9',
      podIPs: [{ ip: '10.42.0.9' }, { ip: 'FD42::9' }, { ip: 'x' }],
    },
  });
  assert.ok(result.ok);
  assert.deepEqual(result.value, {
    key: 'x/a',
    namespace: 'x',
    name: 'a',
    uid: 'u',
    labels: new Map([['app', 'a']]),
    ips: ['10.42.0.9', 'fd42::9'],
    node: 'n1',
    hostNetwork: false,
    done: false,
    ports: [
      { name: 'web', protocol: 'TCP', port: 80 },
      { name: 'side', protocol: 'UDP', port: 53 },
    ],
  });
  for (const [phase, done] of [
    ['Succeeded', true],
    ['Failed', true],
    ['Pending', false],
    [undefined, false],
  ]) {
    const other = parsePod({ metadata: { namespace: 'x', name: 'a' }, status: { phase } });
    assert.equal(other.ok && other.value.done, done);
  }
});

test('an object without a name is the only one that is refused', () => {
  for (const parse of [parsePolicy, parsePod, parseNamespace]) {
    const result = parse({ metadata: {} });
    assert.match(result.ok ? '' : result.error, /no metadata/);
  }
});

const FIELDS = [
  'metadata',
  'spec',
  'podSelector',
  'ingress',
  'egress',
  'from',
  'to',
  'ports',
  'port',
  'ipBlock',
  'cidr',
  'except',
  'matchLabels',
  'matchExpressions',
  'key',
  'operator',
  'values',
  'policyTypes',
  'endPort',
  'protocol',
  'namespaceSelector',
  'status',
  'labels',
  'containers',
];
const LEAVES = ['a', 'In', 'Ingress', '10.0.0.0/8', '', 80, -1, null, true, {}, []];

const anything = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom(...LEAVES),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie('value'), { maxKeys: 4 }),
  ),
})).value;

test('nothing that the API could send throws, and all of it compiles', () =>
  fc.assert(
    fc.property(anything, anything, (spec, status) => {
      const metadata = { namespace: 'x', name: 'p', labels: status };
      const policy = parsePolicy({ metadata, spec });
      const pod = parsePod({ metadata, spec, status });
      const namespace = parseNamespace({ metadata });
      assert.ok(policy.ok && pod.ok && namespace.ok);
      const cluster = with_(policy.value);
      newCompiler()({ ...cluster, pods: [...cluster.pods, pod.value], namespaces: [namespace.value] });
      parsePolicy(spec);
      parsePod(status);
      parseNamespace(spec);
    }),
    { numRuns: 500 },
  ));

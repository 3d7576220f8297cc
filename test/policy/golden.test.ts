/** Whole tables and differences as text, and verdicts in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import { deniedIn } from '../../policy/denied.ts';
import { diff } from '../../policy/diff.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { parsePolicy } from '../../policy/parse.ts';
import { renderOperations, renderTable } from '../../policy/render.ts';
import type { Cluster, Packet } from '../../policy/types.ts';
import { verdictWords } from '../../policy/words.ts';
import type { Ip } from '../../types.ts';
import { golden } from '../golden.ts';
import type { World } from './naive.ts';
import { podOf, policyOf, worldWith } from './small.ts';
import { toCluster } from './world.ts';

const file = (name: string): string => `${import.meta.dirname}/golden/${name}`;

const web = podOf('shop/web', 10, { labels: { app: 'web' }, ports: [{ name: 'http', containerPort: 8080 }] });
const db = podOf('shop/db', 11, { labels: { app: 'db' } });
const job = podOf('shop/job', 12, { node: 1, labels: { app: 'job' } });
const proxy = podOf('edge/proxy', 13, { node: 1, labels: { app: 'proxy' } });
const PODS = [web, db, job, proxy];

const POLICIES = [
  policyOf('shop/closed', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  policyOf('shop/web', {
    podSelector: { matchLabels: { app: 'web' } },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      {
        from: [
          {
            namespaceSelector: { matchLabels: { team: 'edge' } },
            podSelector: { matchLabels: { app: 'proxy' } },
          },
        ],
        ports: [{ port: 'http' }],
      },
      {
        from: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } }],
        ports: [{ port: 8080 }, { port: 9000, endPort: 9010 }],
      },
      { from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] },
    ],
    egress: [
      {
        to: [{ podSelector: { matchLabels: { app: 'db' } } }],
        ports: [{ port: 5432 }, { port: 6000, endPort: 6010 }],
      },
      { ports: [{ protocol: 'UDP', port: 53 }] },
    ],
  }),
  policyOf('shop/db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
  }),
];

const world = (pods = PODS, policies = POLICIES): World =>
  worldWith(pods, policies, { edge: { team: 'edge' } });

test('a table with a set of each kind', () => {
  const cluster = { ...toCluster(world(), 'n0'), unknown: ['10.42.0.99' as Ip] };
  golden(file('shop.nft'), renderTable(newCompiler()(cluster)));
});

test('no policy is a table that isolates nobody', () => {
  const empty = { self: 'n0', policies: [], pods: [], namespaces: [], nodes: [], unknown: [] };
  golden(file('empty.nft'), renderTable(newCompiler()(empty)));
});

test('a pod moves, another comes, a policy goes: the least that says so', () => {
  const compile = newCompiler();
  const old = compile(toCluster(world(), 'n0'));
  const relabelled = podOf('shop/web', 10, { labels: { app: 'db' } });
  const second = podOf('shop/web2', 14, {
    labels: { app: 'web' },
    ports: [{ name: 'http', containerPort: 8080 }],
  });
  const moved = compile(toCluster(world([relabelled, db, job, proxy, second]), 'n0'));
  const gone = compile(toCluster(world([relabelled, db, job, proxy, second], POLICIES.slice(0, 2)), 'n0'));
  golden(file('moved.nft'), renderOperations(diff(old, moved)));
  golden(file('gone.nft'), renderOperations(diff(moved, gone)));
  assert.equal(renderOperations(diff(gone, gone)), '');
});

function said(
  cluster: Cluster,
  src: string,
  dst: string,
  protocol: Packet['protocol'],
  port: number,
): string {
  const packet = { src, dst, protocol, port } as Packet;
  return verdictWords(cluster, packet, evaluate(cluster, packet)).join('\n');
}

test('verdicts in words', () => {
  const broken = parsePolicy({
    metadata: { namespace: 'shop', name: 'newer' },
    spec: { podSelector: { matchLabels: { app: 'job' } }, ingress: [{ from: [{ serviceAccount: 'web' }] }] },
  });
  assert.ok(broken.ok);
  const whole = toCluster(world(), 'n0');
  const cluster = { ...whole, policies: [...whole.policies, broken.value], unknown: ['10.42.0.99' as Ip] };
  const asked: readonly (readonly [string, string, Packet['protocol'], number])[] = [
    ['10.42.1.13', '10.42.0.10', 'TCP', 8080],
    ['10.42.1.13', '10.42.0.10', 'TCP', 80],
    ['10.42.0.10', '10.42.0.11', 'TCP', 5432],
    ['10.42.0.11', '10.42.0.10', 'TCP', 8080],
    ['10.42.1.1', '10.42.0.10', 'TCP', 22],
    ['10.42.0.1', '10.42.0.11', 'TCP', 5432],
    ['203.0.113.7', '10.42.0.10', 'TCP', 9005],
    ['10.42.0.10', '10.42.0.10', 'TCP', 8080],
    ['10.42.0.10', '203.0.113.7', 'ICMP', 0],
    ['10.42.1.13', '10.42.1.12', 'TCP', 80],
    ['10.42.1.13', '10.42.0.99', 'TCP', 80],
    ['10.42.1.13', '203.0.113.7', 'TCP', 443],
  ];
  golden(file('words.txt'), `${asked.map(one => said(cluster, ...one)).join('\n\n')}\n`);
});

test('a table that remembers what it drops, and what of it is read', () => {
  const rules = newCompiler()(toCluster(world(), 'n0'));
  const [quiet, log] = [renderTable(rules), renderTable(rules, true)].map(text => text.split('\n'));
  golden(file('log.nft'), `${log?.filter(line => !quiet?.includes(line)).join('\n')}\n`);
  const listed = (name: string, elements: string): string =>
    `table inet weft-policy {\n\tset ${name} {\n\t\ttype x\n\t\tsize 1024\n\t\telements = { ${elements} }\n\t}\n}\n`;
  const flows = deniedIn(
    listed('denied4', '10.42.0.5 . 10.42.1.7 . tcp . 80,\n\t\t\t     10.42.0.5 . 10.42.1.7 . udp . 53'),
  );
  assert.deepEqual(
    [...flows.values()],
    [
      { src: '10.42.0.5', dst: '10.42.1.7', protocol: 'TCP', port: 80 },
      { src: '10.42.0.5', dst: '10.42.1.7', protocol: 'UDP', port: 53 },
    ],
  );
  const pairs = deniedIn(listed('denied-pairs6', 'fd42::5 . fd42::7 . ipv6-icmp, fd42::5 . fd42::7 . 47'));
  assert.deepEqual(
    [...pairs.values()].map(({ protocol, port }) => [protocol, port]),
    [
      ['ICMP', 0],
      ['ICMP', 0],
    ],
  );
});

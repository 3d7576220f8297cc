/** `weft explain` to a Service: who answers, by whose word, and how it fares with each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendsOf, chooseBackends, parseService } from '../../command/service.ts';
import { parseTarget } from '../../command/target.ts';
import { EXIT, type Io } from '../../command/types.ts';
import { ApiError } from '../../discovery/api-error.ts';
import type { Client } from '../../discovery/client.ts';
import { golden } from '../golden.ts';
import { agents, said } from './sample.ts';

type Json = Readonly<Record<string, unknown>>;

const service = (name: string, spec: Json = {}, status: Json = {}): Json => ({
  metadata: { namespace: 'default', name },
  spec: {
    type: 'ClusterIP',
    clusterIP: '10.43.0.9',
    clusterIPs: ['10.43.0.9', 'fd43::9'],
    selector: { app: name },
    ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
    ...spec,
  },
  status,
});

const endpoint = (n: number, change: Json = {}): Json => ({
  addresses: [`10.42.${n}.7`],
  conditions: { ready: true, serving: true, terminating: false },
  nodeName: `node${n}`,
  targetRef: { kind: 'Pod', namespace: 'default', name: `web-${n}` },
  ...change,
});

const slice = (
  endpoints: readonly Json[],
  ports: readonly Json[] = [{ name: 'http', port: 8080 }],
): Json => ({
  addressType: 'IPv4',
  ports: ports.map(port => ({ protocol: 'TCP', ...port })),
  endpoints,
});

const WEB = service('web');
const DNS = service('dns', {
  clusterIP: '10.43.0.10',
  clusterIPs: ['10.43.0.10'],
  ports: [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    { name: 'metrics', port: 9153, protocol: 'TCP' },
  ],
});

/** An API server with these Services, and slices by the name of theirs. */
function api(services: readonly Json[], slices: Readonly<Record<string, readonly Json[]>> = {}) {
  const asked: string[] = [];
  const named = (name: string) => services.find(s => (s.metadata as Json).name === name);
  const get: Client['get'] = async (path, options = {}) => {
    asked.push(path);
    if (path.endsWith('/endpointslices'))
      return { items: slices[String(options.query?.labelSelector).split('=')[1] ?? ''] ?? [] };
    if (path === '/api/v1/services') return { items: services };
    const found = named(path.split('/').at(-1) ?? '');
    if (found === undefined) throw new ApiError('not found', { status: 404 });
    return found;
  };
  const client = { get, close: () => void asked.push('closed') } as unknown as Client;
  return { asked, io: { agents: async () => agents(), client: async () => client } satisfies Partial<Io> };
}

const explain = (io: Partial<Io>, ...args: readonly string[]) => said(['explain', ...args], io);

/** Lets nothing into node2. */
const closed = (io: Partial<Io>): Partial<Io> => ({
  ...io,
  agents: async () => ({
    ...agents(),
    get: async (node, path) =>
      path.startsWith('/policy?') && path.includes('dst=10.42.2.')
        ? { allowed: false, words: ['ingress: denied; pod default/web-2 is isolated by default/lock'] }
        : agents().get(node, path),
  }),
});

test('the way to each backend of a Service, whichever way it is named', async () => {
  const { io } = api([WEB, DNS], { web: [slice([endpoint(1), endpoint(2)])] });
  const one = await explain(io, 'web-1', 'svc/web:80');
  golden(`${import.meta.dirname}/golden/explain.service.txt`, `${one.out}exit ${one.code}\n`);
  for (const target of [
    'svc/web',
    'svc/web:http',
    'svc/default/web:80',
    'service/web:80/tcp',
    'web.default.svc:80',
    'web.default.svc.cluster.local:http',
    '10.43.0.9:80',
  ])
    assert.equal((await explain(io, 'web-1', target)).out, one.out, target);
  const { out } = await explain(io, 'web-1', 'svc/web', '-o', 'json');
  golden(`${import.meta.dirname}/golden/explain.service.json`, out);
});

test('where one backend is denied by policy, that is said of it and of the whole', async () => {
  const { io } = api([WEB], { web: [slice([endpoint(1), endpoint(2)])] });
  const { out, code } = await explain(closed(io), 'web-1', 'svc/web');
  assert.equal(code, EXIT.trouble);
  assert.match(out, /Service default\/web \(10\.43\.0\.9\), TCP 80: it arrives at 1 of 2 backends only/);
  assert.match(out, /backend default\/web-2 \(10\.42\.2\.7\) on node2, TCP 8080: a policy denies it/);
});

test('a Service without anybody ready is lost, and why', async () => {
  const gone = endpoint(1, { conditions: { ready: false, serving: false } });
  const cases: readonly (readonly [readonly Json[], Json, RegExp])[] = [
    [[], {}, /no pod with an address of this family matches its selector app=web/],
    [
      [slice([gone])],
      {},
      /none of its 1 endpoints is ready: why is said by kubectl -n default get endpointslices/,
    ],
    [[slice([endpoint(2)])], { internalTrafficPolicy: 'Local' }, /no ready pod of it is on node1/],
    [[], { selector: undefined }, /it has no selector, and nobody has written endpoints/],
  ];
  for (const [slices, spec, words] of cases) {
    const { out, code } = await explain(api([service('web', spec)], { web: slices }).io, 'web-1', 'svc/web');
    assert.match(out, words);
    assert.match(out, /it does NOT arrive/);
    assert.equal(code, EXIT.trouble);
  }
});

test('ports: the only one, by number, by name, by protocol; else which there are', async () => {
  const slices = {
    dns: [
      slice(
        [endpoint(2)],
        [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 5353 },
        ],
      ),
    ],
  };
  const { io } = api([DNS, WEB], slices);
  assert.match(
    (await explain(io, 'web-1', 'svc/dns:53/udp')).out,
    /UDP 53: .*[\s\S]*node2, UDP 53: it arrives/,
  );
  assert.match((await explain(io, 'web-1', 'svc/dns:53')).out, /node2, TCP 5353: it arrives/);
  const several = await explain(io, 'web-1', 'svc/dns');
  assert.equal(several.code, EXIT.usage);
  assert.match(several.err, /has several ports: say one of 53\/udp \(dns\), 53\/tcp \(dns-tcp\), 9153\/tcp/);
  assert.match((await explain(io, 'web-1', 'svc/web:81')).err, /has no port 81; it has 80\/tcp \(http\)/);
});

const portsOf = (name: string, ...ports: readonly string[]): Json =>
  service(name, {
    ports: ports.map(text => {
      const [port, protocol = 'tcp'] = text.split('/');
      return { name: `p${ports.indexOf(text)}`, port: Number(port), protocol: protocol.toUpperCase() };
    }),
  });

test('ports: only one that is the only one is taken unasked, TCP only where one number has two protocols', async () => {
  const { io } = api([
    portsOf('voice', '5000/udp', '5001/udp'),
    portsOf('mixed', '80/tcp', '53/udp'),
    portsOf('game', '5432/tcp'),
    portsOf('odd', '9/udp', '9/sctp'),
    service('none', { ports: undefined }),
  ]);
  const usage = async (target: string): Promise<string> => {
    const { code, err } = await explain(io, 'web-1', target);
    assert.equal(code, EXIT.usage, target);
    return err;
  };
  assert.match(await usage('svc/voice'), /has several ports: say one of 5000\/udp \(p0\), 5001\/udp \(p1\)/);
  assert.match(await usage('svc/mixed'), /has several ports: say one of 80\/tcp \(p0\), 53\/udp \(p1\)/);
  assert.match(await usage('svc/odd:9'), /has several ports: say one of 9\/udp \(p0\), 9\/sctp \(p1\)/);
  assert.match(await usage('svc/game:5432/udp'), /has no port 5432\/udp; it has 5432\/tcp \(p0\)/);
  assert.match(await usage('svc/none'), /Service default\/none has no ports/);
  assert.match(await usage('svc/none:80'), /Service default\/none has no port 80; it has none/);
});

const HEADLESS: Json = { clusterIP: 'None', clusterIPs: ['None'] };

test('headless: nobody translates the port that the client names, but a name is looked up', async () => {
  const { io } = api([service('web', HEADLESS), service('bare', { ...HEADLESS, ports: undefined })], {
    web: [slice([endpoint(2)])],
    bare: [slice([endpoint(2)], [])],
  });
  const backend = async (target: string) =>
    /backend .* on node2, (\w+ \d+): it arrives/.exec((await explain(io, 'web-1', target)).out)?.[1];
  assert.equal(await backend('svc/web:80'), 'TCP 80');
  assert.equal(await backend('svc/web'), 'TCP 80');
  assert.equal(await backend('svc/web:http'), 'TCP 8080');
  assert.equal(await backend('svc/web:8080'), 'TCP 8080');
  assert.equal(await backend('svc/web:80/udp'), 'UDP 80');
  assert.equal(await backend('svc/bare:5432'), 'TCP 5432');
  assert.match((await explain(io, 'web-1', 'svc/bare')).err, /Service default\/bare has no ports/);
});

test('headless: DNS gives all that are ready, wherever they are', () => {
  const draining = endpoint(3, { conditions: { ready: false, serving: true, terminating: true } });
  const local = parseService(service('web', { ...HEADLESS, internalTrafficPolicy: 'Local' }));
  const [port] = local.ports;
  assert.ok(port);
  const all = backendsOf([slice([endpoint(2), draining])], port, 4);
  const { chosen, what } = chooseBackends(local, all, 'node1');
  assert.deepEqual(
    chosen.map(b => b.pod),
    ['default/web-2'],
  );
  assert.doesNotMatch(what, /internalTrafficPolicy/);
  const ending = chooseBackends(local, backendsOf([slice([draining])], port, 4), 'node1');
  assert.deepEqual(ending.chosen, []);
  assert.match(ending.what, /none of its 1 endpoints is ready/);
});

test('what cannot be explained is said: no such Service, a name only, a Service that sends, no right', async () => {
  const outer = service('outer', {
    clusterIP: undefined,
    clusterIPs: undefined,
    externalName: 'example.com',
  });
  const { io } = api([outer, WEB]);
  assert.match((await explain(io, 'web-1', 'svc/none')).err, /there is no Service default\/none/);
  assert.match((await explain(io, 'web-1', 'svc/outer:80')).err, /only another name for example\.com/);
  assert.match((await explain(io, 'svc/web', 'web-1')).err, /Service default\/web sends nothing/);
  assert.match((await explain(io, 'web-1', '10.42.2.7:http')).err, /only a Service’s ports have names/);
  const refused = {
    client: async () => ({ get: () => Promise.reject(new ApiError('no', { status: 403 })), close: () => {} }),
  };
  const { err } = await explain({ ...io, ...refused } as unknown as Partial<Io>, 'web-1', 'svc/web');
  assert.match(
    err,
    /Service default\/web cannot be looked up: your user needs get on services in namespace default/,
  );
});

test('an outer address is looked up, and pods are explained without the API server', async () => {
  const { io, asked } = api([WEB]);
  assert.match(
    (await explain(io, 'web-1', '198.51.100.1:443')).out,
    /outside the pod network; it is no Service’s/,
  );
  assert.deepEqual(asked, ['/api/v1/services', 'closed']);
  await explain(io, 'web-1', 'web-2');
  assert.equal(asked.length, 2);
  const none = await explain({ agents: io.agents }, 'web-1', '198.51.100.1:443');
  assert.match(none.out, /whether it is a Service’s is not known: there is no API server/);
});

test('a backend in its node’s own network goes by no tunnel', async () => {
  const host = endpoint(2, { addresses: ['192.0.2.2'] });
  const { out } = await explain(api([WEB], { web: [slice([host])] }).io, 'web-1', 'svc/web');
  assert.match(out, /192\.0\.2\.2 is node2’s own address: it leaves by the node’s own routes/);
});

test('kube-proxy’s choice: ready ones, else those that end and still answer; headless: by DNS', () => {
  const draining = endpoint(2, { conditions: { ready: false, serving: true, terminating: true } });
  const [port] = parseService(WEB).ports;
  assert.ok(port);
  const all = backendsOf([slice([endpoint(1), draining, endpoint(1)])], port, 4);
  assert.equal(all.length, 2);
  assert.deepEqual(
    chooseBackends(parseService(WEB), all, 'node1').chosen.map(b => b.pod),
    ['default/web-1'],
  );
  const ending = chooseBackends(parseService(WEB), backendsOf([slice([draining])], port, 4), 'node1');
  assert.match(ending.what, /all of them end/);
  assert.deepEqual(backendsOf([slice([endpoint(1)])], port, 6), []);
  const headless = parseService(service('web', { clusterIP: 'None', clusterIPs: ['None'] }));
  assert.deepEqual(headless.clusterIps, []);
  assert.match(chooseBackends(headless, all, 'node1').what, /DNS gives one backend/);
});

test('what is written is taken for what it is', () => {
  assert.deepEqual(parseTarget('svc/web:80').who, { kind: 'service', namespace: 'default', name: 'web' });
  assert.deepEqual(parseTarget('shop/web:80').who, { kind: 'pod', namespace: 'shop', name: 'web' });
  assert.deepEqual(parseTarget('dns.kube-system.svc').who, {
    kind: 'service',
    namespace: 'kube-system',
    name: 'dns',
  });
  assert.equal(parseTarget('fd42::7:53').port, undefined);
  assert.deepEqual(parseTarget('[fd42::7]:53/udp'), {
    who: { kind: 'ip', ip: 'fd42::7' },
    port: 53,
    protocol: 'UDP',
  });
});

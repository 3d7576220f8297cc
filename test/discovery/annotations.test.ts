import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Annotation, annotations, parseNode } from '../../discovery/annotations.ts';
import { isReachable } from '../../discovery/scope.ts';
import { parseState, printState } from '../../discovery/state.ts';
import type { Candidate, CandidateType, HostPort, NodeFact } from '../../discovery/types.ts';
import { ipFromNumber, toEndpoint } from '../../ip.ts';
import type { Ip, PublicKey } from '../../types.ts';

const node = (given: Record<string, unknown>, labels: Record<string, unknown> = {}) => ({
  metadata: { name: 'a', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z', annotations: given, labels },
});

const factOf = (given: Record<string, unknown>, labels?: Record<string, unknown>): NodeFact => {
  const fact = parseNode(node(given, labels), []);
  assert.ok(fact.ok);
  return fact.value;
};

const table: readonly Annotation<never>[] = Object.values(annotations) as never;

const ip: fc.Arbitrary<Ip> = fc
  .oneof(
    fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map(n => ipFromNumber(4, n)),
    fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(n => ipFromNumber(6, n)),
  )
  .filter(address => isReachable(address) && !address.startsWith('::ffff:'));
/** Objects as JSON.parse makes them. */
const plain = { noNullPrototype: true } as const;
const port = fc.integer({ min: 1, max: 65_535 });
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const dnsName = fc
  .tuple(fc.array(label, { maxLength: 4 }), fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/))
  .map(([labels, last]) => [...labels, last].join('.'));
const candidate: fc.Arbitrary<Candidate> = fc.record(
  {
    t: fc.constantFrom<CandidateType>('host', 'ext', 'srflx', 'portmap'),
    a: fc.tuple(ip, port).map(([address, p]) => toEndpoint(address, p)),
  },
  plain,
);
const values = {
  publicKey: fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map(bytes => Buffer.from(bytes).toString('base64') as PublicKey)
    .filter(key => !/^A+=$/.test(key)),
  endpoints: fc.array(candidate, { maxLength: 10 }),
  forceEndpoint: fc.record<HostPort>({ host: fc.oneof(ip, dnsName), port }, plain),
  location: fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/),
  keepalive: fc.integer({ min: 0, max: 65_535 }),
  relay: fc.boolean(),
  rotateKey: fc.stringMatching(/^[!-~]{1,63}$/),
  keyRotated: fc.stringMatching(/^[!-~]{1,63}$/),
} satisfies { readonly [K in keyof typeof annotations]: fc.Arbitrary<unknown> };

for (const [key, arbitrary] of Object.entries(values)) {
  const entry = annotations[key as keyof typeof annotations] as unknown as Annotation<unknown>;
  test(`${entry.name}: what is printed parses to the same`, () => {
    fc.assert(
      fc.property(arbitrary as fc.Arbitrary<unknown>, value => {
        assert.deepEqual(entry.parse(entry.print(value)), { value, errors: [] });
      }),
    );
  });
}

test('every example in the table is canonical and without error', () => {
  for (const entry of table) {
    const parsed = entry.parse(entry.example);
    assert.deepEqual(parsed.errors, [], entry.name);
    assert.equal(entry.print(parsed.value as never), entry.example);
  }
});

const nasty = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc.constantFrom(
    '',
    '[',
    '[[[[',
    '{"t":1}',
    '[null]',
    '[{}]',
    '[{"t":"host","a":""}]',
    ':',
    ':0',
    '[]:1',
    '[::]:1',
    '\0',
    'a:99999',
    '-1',
    '1e3',
  ),
);

test('an object with a toString of its own in place of a value is an error like others', () => {
  for (const value of [
    { toString: 0 },
    { toString: null, valueOf: null },
    JSON.parse('{"__proto__":null}'),
  ]) {
    const [error, ...more] = factOf({ 'weft.network/public-key': value, 'weft.network/relya': value }).errors;
    assert.equal(error?.message, 'the value is not a string');
    assert.equal(more.length, 1);
  }
});

test('any value of any annotation: no throw, at most one error each, and the Node counts', () => {
  fc.assert(
    fc.property(fc.constantFrom(...table), fc.oneof(nasty, fc.anything()), (entry, value) => {
      const fact = factOf({ [entry.name]: value });
      assert.ok(fact.errors.length <= 1);
      for (const error of fact.errors) {
        assert.equal(error.annotation, entry.name);
        assert.match(error.message, /^the value ./);
        assert.ok(error.value.length <= 201);
      }
    }),
    { numRuns: 1_000 },
  );
});

test('any JSON at all in place of a Node: an error or a fact, never a throw', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.anything(), fc.record({ metadata: fc.anything() })),
      fc.array(fc.string()),
      (object, cidrs) => {
        const fact = parseNode(object, cidrs);
        if (!fact.ok) assert.ok(fact.error.length > 0);
      },
    ),
  );
});

test('what state is written is read back', () => {
  const facts = fc.array(
    fc.record(
      {
        name: label,
        uid: label,
        createdAt: fc.constant('2026-01-01T00:00:00Z'),
        podCidrs: fc.constantFrom([], ['10.42.0.0/24'], ['10.42.0.0/24', 'fd42::/64']),
        publicKey: fc.option(values.publicKey, { nil: undefined }),
        endpoints: values.endpoints,
        forceEndpoint: fc.option(values.forceEndpoint, { nil: undefined }),
        location: fc.option(values.location, { nil: undefined }),
        keepalive: fc.option(values.keepalive, { nil: undefined }),
        relay: values.relay,
        errors: fc.constant([]),
      },
      plain,
    ),
  ) as unknown as fc.Arbitrary<readonly NodeFact[]>;
  fc.assert(
    fc.property(facts, list => assert.deepEqual(parseState(printState(list)), { ok: true, value: list })),
  );
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), text => void parseState(text)));
});

const bad: readonly (readonly [keyof typeof annotations, string, RegExp])[] = [
  ['publicKey', 'abc', /is not a WireGuard public key/],
  ['publicKey', `${'A'.repeat(43)}=`, /zero key/],
  ['endpoints', '{"t":"host"}', /is not a JSON list/],
  ['endpoints', '[{"t":"hast","a":"192.0.2.1:1"}]', /"t" is not one of host, ext, srflx, portmap/],
  ['endpoints', '[{"t":"host","a":"node1:51820"}]', /"a" is not an address with port/],
  ['endpoints', '[{"t":"host","a":"127.0.0.1:51820"}]', /no other host reaches 127\.0\.0\.1/],
  ['endpoints', '[{"t":"host","a":"[fe80::1]:51820"}]', /no other host reaches fe80::1/],
  ['forceEndpoint', '203.0.113.7', /is not an endpoint/],
  ['forceEndpoint', '203.0.113.7:0', /ports are 1 to 65535/],
  ['forceEndpoint', '203.0.113.7:70000', /ports are 1 to 65535/],
  ['forceEndpoint', '300.0.113.7:51820', /neither an IP address nor a DNS name/],
  ['forceEndpoint', '2001:db8::1:51820', /is not an endpoint/],
  ['forceEndpoint', '[node1]:51820', /is not an endpoint/],
  ['forceEndpoint', '[203.0.113.7]:51820', /is not an endpoint/],
  ['forceEndpoint', 'my_node:51820', /label "my_node"/],
  ['forceEndpoint', 'a..b:51820', /label ""/],
  ['forceEndpoint', `${'a'.repeat(64)}.example:51820`, /1 to 63 letters/],
  ['forceEndpoint', `${'a.'.repeat(127)}aa:51820`, /DNS allows 253/],
  ['forceEndpoint', '-a.example:51820', /label "-a"/],
  ['forceEndpoint', 'müller.example:51820', /xn--/],
  ['forceEndpoint', '0.0.0.0:51820', /no other host answers/],
  ['location', '', /is not a location/],
  ['location', 'eu west', /is not a location/],
  ['location', 'x'.repeat(64), /is not a location/],
  ['keepalive', '65536', /from 0 \(off\) to 65535/],
  ['keepalive', '-1', /seconds/],
  ['keepalive', '25s', /seconds/],
  ['keepalive', '025', /seconds/],
  ['relay', 'no', /neither true nor false/],
];

for (const [key, value, message] of bad)
  test(`${annotations[key].name}=${value.slice(0, 40)} is reported`, () => {
    const { errors, ...rest } = factOf({ [annotations[key].name]: value });
    assert.equal(errors.length, 1);
    assert.match(errors[0]?.message ?? '', message);
    const { errors: none, ...unset } = factOf({});
    assert.deepEqual(none, []);
    assert.deepEqual(rest, unset, 'as if it were not set');
  });

test('of a list of endpoints the good ones count, at most ten', () => {
  const good = Array.from({ length: 12 }, (_, n) => ({ t: 'host', a: `192.0.2.${n + 1}:51820` }));
  const some = factOf({ 'weft.network/endpoints': JSON.stringify([good[0], { t: 'new', a: 'x' }, good[1]]) });
  assert.deepEqual(some.endpoints, good.slice(0, 2));
  assert.equal(some.errors.length, 1);
  const many = factOf({ 'weft.network/endpoints': JSON.stringify(good) });
  assert.deepEqual(many.endpoints, good.slice(0, 10));
  assert.match(many.errors[0]?.message ?? '', /has 12 candidates; at most 10 count/);
});

test('a slip in a name is reported, a name that may be a newer one is not', () => {
  const fact = factOf({
    'weft.network/force-endpiont': 'a:1',
    'weft.network/next-public-key': 'x',
    'other/relay': 'x',
  });
  assert.deepEqual(
    fact.errors.map(e => `${e.annotation}: ${e.message}`),
    ['weft.network/force-endpiont: there is no such annotation; weft.network/force-endpoint is meant?'],
  );
});

test('text is made canonical', () => {
  const fact = factOf({
    'weft.network/endpoints': '[ {"a":"[2001:DB8:0::1]:51820","t":"ext","later":true} ]',
    'weft.network/force-endpoint': 'Node1.Example.ORG.:51820',
  });
  assert.deepEqual(fact.endpoints, [{ t: 'ext', a: '[2001:db8::1]:51820' }]);
  assert.deepEqual(fact.forceEndpoint, { host: 'node1.example.org', port: 51820 });
  assert.deepEqual(factOf({ 'weft.network/force-endpoint': '127.0.0.1:4500' }).forceEndpoint, {
    host: '127.0.0.1',
    port: 4500,
  });
});

test('the location is the annotation, else the region; a bad one falls back to it', () => {
  const region = { 'topology.kubernetes.io/region': 'eu' };
  assert.equal(factOf({}, region).location, 'eu');
  assert.equal(factOf({ 'weft.network/location': 'home' }, region).location, 'home');
  assert.equal(factOf({ 'weft.network/location': '?' }, region).location, 'eu');
  assert.equal(factOf({}).location, undefined);
});

test('podCIDRs are sorted, and a bad one is an error of its own', () => {
  const fact = parseNode(node({}), ['fd42::/64', '10.42.0.1/24', '10.42.0.0/24']);
  assert.ok(fact.ok);
  assert.deepEqual(fact.value.podCidrs, ['10.42.0.0/24', 'fd42::/64']);
  assert.deepEqual(
    fact.value.errors.map(e => [e.annotation, e.value]),
    [['spec.podCIDRs', '10.42.0.1/24']],
  );
});

test('an object without name, uid or creationTimestamp is no Node', () => {
  for (const key of ['name', 'uid', 'creationTimestamp']) {
    const { metadata } = node({});
    const fact = parseNode({ metadata: { ...metadata, [key]: undefined } }, []);
    assert.ok(!fact.ok);
    assert.match(fact.error, new RegExp(key));
  }
});

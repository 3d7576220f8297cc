import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Annotation, annotations, parseNode, withPodCidrs } from '../../discovery/annotations.ts';
import { MAX_CANDIDATES } from '../../discovery/endpoints.ts';
import { parseState, printState } from '../../discovery/state.ts';
import type { Candidate, NodeFact } from '../../discovery/types.ts';
import { ipFromNumber, toEndpoint } from '../../ip.ts';
import { generateKey } from '../../mesh/key.ts';
import { annotationsPage } from '../../tools/docs.ts';

const meta = (given: Readonly<Record<string, unknown>> = {}, labels: object = {}) => ({
  metadata: { name: 'n', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z', annotations: given, labels },
});

function factOf(given: Readonly<Record<string, unknown>>, labels: object = {}): NodeFact {
  const fact = parseNode(meta(given, labels), ['10.42.0.0/24']);
  assert.ok(fact.ok);
  return fact.value;
}

/** The messages for one annotation with this text. */
const complaints = (entry: { readonly name: string }, text: unknown): readonly string[] =>
  factOf({ [entry.name]: text }).errors.map(e => `${e.annotation}: ${e.message}`);

const endpoint = fc.oneof(
  fc
    .tuple(
      fc.integer({ min: 1, max: 126 }),
      fc.integer({ min: 0, max: 0xffffff }),
      fc.integer({ min: 1, max: 65535 }),
    )
    .map(([a, rest, port]) => toEndpoint(ipFromNumber(4, (BigInt(a) << 24n) + BigInt(rest)), port)),
  fc
    .tuple(fc.bigInt(0n, (1n << 120n) - 1n), fc.integer({ min: 1, max: 65535 }))
    .map(([rest, port]) => toEndpoint(ipFromNumber(6, (0xfdn << 120n) + rest), port)),
);
const candidate: fc.Arbitrary<Candidate> = fc
  .tuple(fc.constantFrom('host', 'ext', 'srflx', 'portmap'), endpoint)
  .map(([t, a]) => ({ t, a }));
const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/);
const dnsName = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map(labels => labels.join('.'))
  .filter(name => !/(?:^|\.)\d+$/.test(name));
const host = fc.oneof(
  dnsName,
  fc.ipV4().filter(ip => /^(?:[1-9]|[1-9]\d|1[01]\d)\./.test(ip)),
  fc.bigInt(0n, (1n << 120n) - 1n).map(rest => ipFromNumber(6, (0xfdn << 120n) + rest) as string),
);

const values = {
  publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(seed => generateKey(() => seed).publicKey),
  endpoints: fc.array(candidate, { maxLength: MAX_CANDIDATES }),
  forceEndpoint: fc.tuple(host, fc.integer({ min: 1, max: 65535 })).map(([host, port]) => ({ host, port })),
  location: fc.stringMatching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/),
  keepalive: fc.integer({ min: 0, max: 65535 }),
  relay: fc.boolean(),
} satisfies Readonly<Record<keyof typeof annotations, fc.Arbitrary<unknown>>>;

for (const key of Object.keys(annotations) as (keyof typeof annotations)[]) {
  const entry = annotations[key] as Annotation<unknown>;

  test(`${entry.name}: what is printed reads back the same`, () => {
    fc.assert(
      fc.property(values[key] as fc.Arbitrary<unknown>, value => {
        assert.deepEqual(entry.parse(entry.print(value)), { value, errors: [] });
      }),
    );
  });

  test(`${entry.name}: the example is right and canonical`, () => {
    const { value, errors } = entry.parse(entry.example);
    assert.deepEqual(errors, []);
    assert.equal(entry.print(value), entry.example);
  });

  test(`${entry.name}: no text throws; it has a value or an error`, () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      values[key].map(v => JSON.stringify(v)),
    );
    fc.assert(
      fc.property(text, given => {
        const { value, errors } = entry.parse(given);
        assert.ok(value !== undefined || errors.length > 0);
      }),
    );
  });
}

const BAD: readonly (readonly [{ readonly name: string }, string, RegExp])[] = [
  [annotations.publicKey, '', /not a WireGuard public key/],
  [annotations.publicKey, `${'A'.repeat(43)}=`, /zero key/],
  [annotations.endpoints, 'no json', /not a JSON list/],
  [annotations.endpoints, '{"t":"host","a":"192.168.1.7:1"}', /not a JSON list/],
  [
    annotations.endpoints,
    '[{"t":"hosts","a":"192.168.1.7:1"}]',
    /"t" is not one of host, ext, srflx, portmap/,
  ],
  [annotations.endpoints, '[{"t":"host","a":"192.168.1.7"}]', /"a" is not an address with port/],
  [annotations.endpoints, '[{"t":"host","a":"192.168.1.7:0"}]', /"a" is not/],
  [annotations.endpoints, '[{"t":"host","a":"name:51820"}]', /"a" is not/],
  [annotations.endpoints, '[{"t":"host","a":"127.0.0.1:51820"}]', /no other host reaches 127\.0\.0\.1/],
  [annotations.endpoints, '[{"t":"host","a":"[fe80::1]:51820"}]', /no other host reaches fe80::1/],
  [annotations.endpoints, '[null]', /null: "t"/],
  [annotations.forceEndpoint, '203.0.113.7', /not an endpoint such as/],
  [annotations.forceEndpoint, '203.0.113.7:0', /port 0; ports are 1 to 65535/],
  [annotations.forceEndpoint, '203.0.113.7:65536', /port 65536/],
  [annotations.forceEndpoint, '2001:db8::1:51820', /not an endpoint such as/],
  [annotations.forceEndpoint, '[203.0.113.7]:51820', /not an endpoint such as/],
  [annotations.forceEndpoint, '1.2.3:51820', /neither an IP address nor a DNS name/],
  [annotations.forceEndpoint, '256.1.1.1:51820', /neither an IP address nor a DNS name/],
  [annotations.forceEndpoint, 'under_score.example.org:51820', /label "under_score"/],
  [annotations.forceEndpoint, `${'a'.repeat(64)}.org:51820`, /label "a{64}"/],
  [annotations.forceEndpoint, `${'abcdefg.'.repeat(32)}org:51820`, /host name of 259 characters/],
  [annotations.forceEndpoint, 'bücher.example:51820', /xn--/],
  [annotations.forceEndpoint, '0.0.0.0:51820', /no other host answers/],
  [annotations.location, '', /not a location/],
  [annotations.location, '-x', /not a location/],
  [annotations.location, 'a'.repeat(64), /not a location/],
  [annotations.location, 'two words', /not a location/],
  [annotations.keepalive, '-1', /0 \(off\) to 65535/],
  [annotations.keepalive, '65536', /0 \(off\) to 65535/],
  [annotations.keepalive, '25s', /0 \(off\) to 65535/],
  [annotations.keepalive, '1e3', /0 \(off\) to 65535/],
  [annotations.keepalive, ' 25', /0 \(off\) to 65535/],
  [annotations.relay, 'no', /neither true nor false/],
  [annotations.relay, 'False', /neither true nor false/],
];

for (const [entry, text, expected] of BAD)
  test(`${entry.name}=${JSON.stringify(text).slice(0, 50)} is one error, and all else counts`, () => {
    const good: Record<string, string> = Object.fromEntries(
      Object.values(annotations).map(a => [a.name, a.example]),
    );
    const fact = factOf({ ...good, [entry.name]: text });
    assert.equal(fact.errors.length, 1);
    assert.equal(fact.errors[0]?.annotation, entry.name);
    assert.match(fact.errors[0]?.message ?? '', expected);
    assert.match(fact.errors[0]?.message ?? '', /^the value /);
    const whole = factOf(good);
    const same = (Object.keys(annotations) as (keyof typeof annotations)[]).filter(
      key => annotations[key].name !== entry.name,
    );
    for (const key of same) assert.deepEqual(fact[key], whole[key], key);
    assert.deepEqual(fact.podCidrs, ['10.42.0.0/24']);
  });

test('each annotation broken in turn, and all at once: as many errors as bad values', () => {
  const bad = Object.fromEntries(Object.values(annotations).map(a => [a.name, '\u0000?']));
  assert.equal(factOf(bad).errors.length, Object.keys(annotations).length);
});

test('a value that is not even a string is an error', () => {
  for (const value of [1, null, {}, [], true]) {
    const messages = complaints(annotations.location, value);
    assert.deepEqual(messages, [`${annotations.location.name}: the value is not a string`]);
  }
});

test('of a list with one bad candidate the good ones count; of too many the first ten', () => {
  const good = { t: 'host', a: '192.168.1.7:51820' } as const;
  const mixed = annotations.endpoints.parse(JSON.stringify([good, { t: 'x' }, good]));
  assert.equal(mixed.value?.length, 2);
  assert.equal(mixed.errors.length, 1);
  const many = annotations.endpoints.parse(JSON.stringify(Array.from({ length: 300 }, () => good)));
  assert.equal(many.value?.length, MAX_CANDIDATES);
  assert.deepEqual(many.errors, ['has 300 candidates; at most 10 count']);
});

test('spellings that people use are read as the canonical one', () => {
  const { parse } = annotations.forceEndpoint;
  assert.deepEqual(parse('Node1.Example.ORG.:51820').value, { host: 'node1.example.org', port: 51820 });
  assert.deepEqual(parse('[2001:DB8:0::1]:1').value, { host: '2001:db8::1', port: 1 });
  assert.deepEqual(parse('[::ffff:203.0.113.7]:1').value, { host: '203.0.113.7', port: 1 });
  assert.deepEqual(parse('xn--bcher-kva.example:1').value, { host: 'xn--bcher-kva.example', port: 1 });
});

test('location: the annotation, else the region, also where the annotation is bad', () => {
  const region = { 'topology.kubernetes.io/region': 'eu-1' };
  assert.equal(factOf({}, region).location, 'eu-1');
  assert.equal(factOf({ [annotations.location.name]: 'home' }, region).location, 'home');
  assert.equal(factOf({ [annotations.location.name]: '?' }, region).location, 'eu-1');
  assert.equal(factOf({}).location, undefined);
});

test('names from Object.prototype are no annotations', () => {
  const fact = parseNode(
    JSON.parse(
      JSON.stringify(meta()).replace(
        '"annotations":{}',
        '"annotations":{"__proto__":{"weft.network/relay":"false"}}',
      ),
    ),
    [],
  );
  assert.ok(fact.ok);
  assert.equal(fact.value.relay, true);
});

test('podCIDRs: sorted and canonical, each bad one an error of its own', () => {
  const fact = withPodCidrs(factOf({}), ['fd42::/64', '10.42.1.0/24', '10.42.1.1/24', 'x', 'fd43:0:0::/64']);
  assert.deepEqual(fact.podCidrs, ['10.42.1.0/24', 'fd42::/64', 'fd43::/64']);
  assert.deepEqual(
    fact.errors.map(e => [e.annotation, e.value]),
    [
      ['spec.podCIDRs', '10.42.1.1/24'],
      ['spec.podCIDRs', 'x'],
    ],
  );
  assert.deepEqual(withPodCidrs(fact, ['10.42.1.0/24']).errors, []);
});

test('no object throws: it is a Node, or there are words why not', () => {
  fc.assert(
    fc.property(fc.anything(), fc.array(fc.string()), (object, cidrs) => {
      const fact = parseNode(object, cidrs);
      assert.ok(fact.ok || fact.error.length > 0);
    }),
  );
  const part = fc.record(
    {
      name: fc.anything(),
      uid: fc.anything(),
      creationTimestamp: fc.anything(),
      annotations: fc.anything(),
      labels: fc.anything(),
    },
    { requiredKeys: [] },
  );
  fc.assert(fc.property(part, metadata => void parseNode({ metadata }, [])));
});

test('an object without name, uid or time is no Node', () => {
  const { metadata } = meta();
  for (const key of ['name', 'uid', 'creationTimestamp']) {
    const fact = parseNode({ metadata: { ...metadata, [key]: undefined } }, []);
    assert.ok(!fact.ok && fact.error.includes(`metadata.${key}`), key);
  }
});

test('the state on disk reads back as the facts that were written', () => {
  const fact = fc
    .record({
      publicKey: fc.option(values.publicKey, { nil: undefined }),
      endpoints: values.endpoints,
      forceEndpoint: fc.option(values.forceEndpoint, { nil: undefined }),
      location: fc.option(values.location, { nil: undefined }),
      keepalive: fc.option(values.keepalive, { nil: undefined }),
      relay: fc.boolean(),
    })
    .map((given): NodeFact => ({ ...factOf({}), ...given }));
  fc.assert(
    fc.property(fc.array(fact, { maxLength: 4 }), facts => {
      assert.deepEqual(parseState(printState(facts)), { ok: true, value: facts });
    }),
  );
});

test('a state that is cut off anywhere is refused or harmless, never a throw', () => {
  const text = printState([factOf({ [annotations.keepalive.name]: '7' })]);
  for (let n = 0; n < text.length - 1; n += 1) {
    const state = parseState(text.slice(0, n));
    assert.ok(!state.ok, text.slice(0, n));
  }
  fc.assert(fc.property(fc.json(), json => void parseState(json)));
});

test('docs/annotations.md is what the table prints', () => {
  const file = `${import.meta.dirname}/../../docs/annotations.md`;
  assert.equal(readFileSync(file, 'utf8'), annotationsPage(), 'run `npm run docs`');
});

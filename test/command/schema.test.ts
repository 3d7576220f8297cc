/** What is printed is what docs/schema/ says, and the types that the code has are those of the shapes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { PingAnswer } from '../../agent/ping.ts';
import type { Judgement } from '../../agent/policy.ts';
import type { StatusReport } from '../../agent/report.ts';
import {
  list,
  may,
  number,
  object,
  oneOf,
  ref,
  type Shaped,
  said as sentence,
  string,
} from '../../command/shape.ts';
import type { diagnosis, judgement, pings, report } from '../../command/shapes/answers.ts';
import { verbs } from '../../command/verbs.ts';
import type { Diagnosis } from '../../doctor/types.ts';
import { faults, readSchema } from '../schema.ts';
import { agents, said } from './sample.ts';

/** Fails to compile where an answer lacks a field of its shape, or has it with another type. */
type Holds<Answer extends Shape, Shape> = Answer;
export type Checked = [
  Holds<StatusReport, Shaped<typeof report>>,
  Holds<Diagnosis, Shaped<typeof diagnosis>>,
  Holds<Judgement, Shaped<typeof judgement>>,
  Holds<readonly PingAnswer[], Shaped<typeof pings>>,
];
/** And where it has one at the top that no shape has. */
type Undocumented = Exclude<keyof StatusReport, keyof Shaped<typeof report>>;
export const none: Undocumented[] = [] satisfies never[];

const golden = (file: string): unknown =>
  JSON.parse(readFileSync(`${import.meta.dirname}/golden/${file}`, 'utf8'));

/** The sample's reports are short; a whole one is held to its schema where agents are real. */
const withoutReports = (value: unknown): unknown => {
  const { nodes, ...rest } = value as { readonly nodes: readonly { readonly report?: unknown }[] };
  return { ...rest, nodes: nodes.map(node => ({ ...node, report: undefined })) };
};

test('every verb that prints JSON has a schema, and its answer is as that says', async () => {
  const answers: Readonly<Record<string, unknown>> = {
    status: withoutReports(golden('status.json')),
    peers: golden('peers.json'),
    ping: golden('ping.json'),
    graph: golden('graph.json'),
    doctor: golden('doctor.json'),
    plan: golden('plan.json'),
    explain: golden('explain.service.json'),
    version: JSON.parse((await said(['version', '-o', 'json'])).out),
    'rotate-key': { rotated: [], skipped: [] },
    uninstall: { removals: [{ kind: 'left', what: 'x', why: 'y' }] },
  };
  const all = await Promise.all(Object.values(verbs).map(load => load()));
  assert.deepEqual(
    all.flatMap(v => (v.shape === undefined ? [] : [v.name])).sort(),
    Object.keys(answers).sort(),
  );
  for (const [name, answer] of Object.entries(answers))
    assert.deepEqual(faults(readSchema(`${name}.json`), answer), [], name);
  assert.deepEqual(faults(readSchema('explain.json'), golden('explain.json')), []);
});

test('every schema file is well formed, and refers to what is there', () => {
  for (const file of readdirSync(`${import.meta.dirname}/../../docs/schema`)) {
    const schema = readSchema(file);
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema', file);
    assert.match(String(schema.title), /^weft |^what an agent answers/);
    for (const [, target] of JSON.stringify(schema).matchAll(/"\$ref":"([^"]+)"/g))
      assert.ok(target === '#' || readSchema(target as string), file);
  }
});

test('a wrong answer is found: a field that is missing, strange, or of another type', () => {
  const { json } = object({
    a: string,
    b: may(list(number)),
    c: may(oneOf('x', 'y')),
    d: may(ref('#', 'Self')),
  });
  assert.deepEqual(faults(json, { a: 'x', b: [1], c: 'y', d: { a: 'z' } }), []);
  assert.deepEqual(faults(json, { b: ['1'], c: 'z', e: 1, d: {} }), [
    '$.a is missing',
    '$.b[0] is no number but string',
    '$.c is "z"',
    '$.e is not in the schema',
    '$.d.a is missing',
  ]);
});

test('shapes as people read them', () => {
  const shape = object({
    names: list(oneOf('a', 'b')),
    inner: may(sentence(object({ n: number }), 'how many')),
    rest: list(
      object({
        long: string,
        names: string,
        of: string,
        fields: string,
        that: string,
        fill: string,
        a_line: string,
      }),
    ),
  });
  assert.equal(
    shape.text(0),
    `{
  "names": ("a" | "b")[],
  // how many
  "inner"?: { "n": number },
  "rest": {
    "long": string,
    "names": string,
    "of": string,
    "fields": string,
    "that": string,
    "fill": string,
    "a_line": string
  }[]
}`,
  );
});

test('the sample is of this version: its peers are whole', async () => {
  const peers = (await agents().get('node1', '/status')) as { readonly peers: readonly unknown[] };
  const { properties } = readSchema('agent-status.json') as {
    readonly properties: { readonly peers: object };
  };
  assert.deepEqual(faults(properties.peers as never, peers.peers), []);
});

/** `weft rotate-key` against nodes that obey, are slow, or are not there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Agents } from '../../command/agents.ts';
import { EXIT } from '../../command/types.ts';
import type { Client } from '../../discovery/client.ts';
import { faults, readSchema } from '../schema.ts';
import { said } from './sample.ts';

type Notes = Record<string, string>;
type Fake = { readonly ready: boolean; readonly notes: Notes; readonly deaf?: boolean };

const KEY = 'weft.network/public-key';
const DONE = 'weft.network/key-rotated';
const ASK = 'weft.network/rotate-key';

/** An API server whose nodes change their key at the second look after they were asked. */
function cluster(nodes: Readonly<Record<string, Fake>>) {
  const asked: string[] = [];
  const nodeOf = (name: string) => ({
    metadata: { name, annotations: { ...nodes[name]?.notes } },
    status: { conditions: [{ type: 'Ready', status: nodes[name]?.ready ? 'True' : 'False' }] },
  });
  const obey = (name: string): void => {
    const { notes, deaf } = nodes[name] as Fake;
    if (deaf || notes[ASK] === undefined || notes[ASK] === notes[DONE]) return;
    Object.assign(notes, { [KEY]: `new-${name}`, [DONE]: notes[ASK] });
  };
  const nameIn = (path: string): string => path.split('/')[4] ?? '';
  const client = {
    get: async path => {
      const name = nameIn(path);
      if (name === '') return { items: Object.keys(nodes).map(nodeOf), metadata: {} };
      const answer = nodeOf(name);
      obey(name);
      return answer;
    },
    patch: async (path, body) => {
      asked.push(nameIn(path));
      Object.assign(
        (nodes[nameIn(path)] as Fake).notes,
        (body as { metadata: { annotations: Notes } }).metadata.annotations,
      );
      return {};
    },
    close: () => {},
  } as Partial<Client> as Client;
  return { asked, more: { client: async () => client } };
}

const node = (name: string, more: Partial<Fake> = {}): Fake => ({
  ready: true,
  notes: { [KEY]: `old-${name}` },
  ...more,
});

test('all: one after the other, and those that cannot are named', async () => {
  const { asked, more } = cluster({
    b: node('b'),
    a: node('a'),
    off: node('off', { ready: false }),
    bare: node('bare', { notes: {} }),
  });
  const { code, out, err } = await said(['rotate-key', '--all'], more);
  assert.equal(out, 'a: old-a → new-a\nb: old-b → new-b\n');
  assert.match(err, /off is not Ready/);
  assert.match(err, /bare shows no key/);
  assert.deepEqual([code, asked], [EXIT.trouble, ['a', 'b']]);
});

test('for programs: the keys of before and after, and who was skipped', async () => {
  const { more } = cluster({ a: node('a'), off: node('off', { ready: false }) });
  const told = JSON.parse((await said(['rotate-key', '--all', '-o', 'json'], more)).out);
  assert.deepEqual(faults(readSchema('rotate-key.json'), told), []);
  assert.deepEqual(told.rotated, [{ node: 'a', before: 'old-a', after: 'new-a' }]);
  assert.match(told.skipped[0], /off is not Ready/);
});

test('a node that does not do it stops those after it', async () => {
  const { asked, more } = cluster({ a: node('a', { deaf: true }), b: node('b') });
  const { code, err } = await said(['rotate-key', 'a', 'b', '--wait', '1'], more);
  assert.equal(code, EXIT.trouble);
  assert.match(err, /a: its key has not changed after 1 s/);
  assert.deepEqual(asked, ['a']);
  const told = JSON.parse((await said(['rotate-key', 'a', '--wait', '1', '-o', 'json'], more)).out);
  assert.deepEqual(faults(readSchema('rotate-key.json'), told), []);
  assert.match(told.failed, /its key has not changed/);
});

test('who was skipped is told to programs also where a node does not do it', async () => {
  const { more } = cluster({ a: node('a', { deaf: true }), off: node('off', { ready: false }) });
  const told = JSON.parse((await said(['rotate-key', '--all', '--wait', '1', '-o', 'json'], more)).out);
  assert.deepEqual(faults(readSchema('rotate-key.json'), told), []);
  assert.match(told.failed, /its key has not changed/);
  assert.match(told.skipped[0], /off is not Ready/);
});

test('somebody else’s wish for another key is told, and not taken for a failure of the node', async () => {
  const notes: Notes = { [KEY]: 'old-a' };
  const { more } = cluster({ a: node('a', { deaf: true, notes }) });
  const later = setTimeout(() => Object.assign(notes, { [ASK]: 'another' }), 100);
  const { code, err } = await said(['rotate-key', 'a', '--wait', '20'], more);
  clearTimeout(later);
  assert.notEqual(code, EXIT.ok);
  assert.match(err, /a: somebody else has asked for another key meanwhile/);
});

test('unknown nodes, and both names and --all, are refused before anything is asked', async () => {
  const { asked, more } = cluster({ a: node('a') });
  assert.match((await said(['rotate-key', 'a', 'z'], more)).err, /there is no Node z/);
  assert.equal((await said(['rotate-key', 'a', '--all'], more)).code, EXIT.usage);
  assert.deepEqual(asked, []);
});

test('without a name the agent of this node is asked, and only there', async () => {
  const posted: string[] = [];
  const agents: Agents = {
    kind: 'local',
    list: async () => [],
    get: async () => ({}),
    post: async path => posted.push(path),
    close: () => {},
  };
  assert.equal((await said(['rotate-key'], { agents: async () => agents })).code, EXIT.ok);
  assert.deepEqual(posted, ['/rotate-key']);
  const { post: _, ...far } = agents;
  assert.equal((await said(['rotate-key'], { agents: async () => far })).code, EXIT.usage);
});

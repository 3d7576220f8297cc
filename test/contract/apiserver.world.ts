/** What the cases of the contract suite are made of: objects of their own, so that no case sees another's. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type Answer, AS_LIST, type Bed, MERGE, type Watch } from './apiserver.bed.ts';

// biome-ignore lint/suspicious/noExplicitAny: the suite looks into answers of every shape.
type Any = any;

export const NODES = '/api/v1/nodes';

export const configmaps = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;

/** One case: a bed, and names that nobody else uses. */
export type World = {
  readonly bed: Bed;
  /** Lower case, unique on the server. */
  readonly id: string;
  readonly ok: (path: string, call?: Parameters<Bed['call']>[1]) => Promise<Any>;
  readonly create: (path: string, object: Any) => Promise<Any>;
  readonly patch: (path: string, patch: Any) => Promise<Any>;
  readonly remove: (path: string) => Promise<Any>;
  /** A Node with the label `case` of this world. */
  readonly node: (name: string, object?: { metadata?: Any; spec?: Any }) => Promise<Any>;
  /** A namespace with a service account, as Pods need it; resolves with its name. */
  readonly namespace: () => Promise<string>;
  /** `?labelSelector=case=…`, so that only this world's Nodes are seen. */
  readonly mine: string;
  readonly names: (path: string) => Promise<readonly string[]>;
  /** resourceVersion of a list of now. */
  readonly version: (path?: string) => Promise<string>;
  readonly watch: (path: string, accept?: string) => Promise<Watch>;
};

let count = 0;

function refuse(path: string, answer: Answer): never {
  throw new assert.AssertionError({ message: `${path}: ${answer.status} ${answer.text.slice(0, 400)}` });
}

/** Everything that it makes goes at the end of the case. */
export function newWorld(bed: Bed, t: TestContext): World {
  count += 1;
  const id = `c${count}`;
  const made: string[] = [];
  const watches: Watch[] = [];
  t.after(async () => {
    for (const watch of watches) watch.close();
    for (const path of made) await bed.call(path, { method: 'DELETE' });
  });

  const ok: World['ok'] = async (path, call) => {
    const answer = await bed.call(path, call);
    if (answer.status < 200 || answer.status > 299) refuse(`${call?.method ?? 'GET'} ${path}`, answer);
    return answer.json;
  };
  const create: World['create'] = (path, object) => ok(path, { method: 'POST', body: object });
  const remember = (path: string): void => void made.push(path);

  return {
    bed,
    id,
    ok,
    create,
    patch: (path, patch) => ok(path, { method: 'PATCH', contentType: MERGE, body: patch }),
    remove: path => ok(path, { method: 'DELETE' }),
    node: async (name, object = {}) => {
      const metadata = { ...object.metadata, name, labels: { ...object.metadata?.labels, case: id } };
      remember(`${NODES}/${name}`);
      return create(NODES, { ...object, metadata });
    },
    namespace: async () => {
      const name = `${id}-${made.length}`;
      remember(`/api/v1/namespaces/${name}`);
      await create('/api/v1/namespaces', { metadata: { name } });
      return name;
    },
    mine: `labelSelector=case%3D${id}`,
    names: async path =>
      ((await ok(path, { accept: AS_LIST })).items ?? []).map((item: Any) => item.metadata.name),
    version: async (path = `${NODES}?limit=1`) => (await ok(path)).metadata.resourceVersion,
    watch: async (path, accept) => {
      const watch = await bed.watch(path, accept);
      watches.push(watch);
      return watch;
    },
  };
}

/** A Status object: kind, code, reason, and what more is given. */
export function assertStatus(
  answer: Answer,
  code: number,
  reason: string,
  more: { readonly message?: string | RegExp; readonly details?: unknown } = {},
): void {
  assert.equal(answer.status, code, answer.text.slice(0, 400));
  assert.equal(answer.contentType, 'application/json');
  const { kind, apiVersion, metadata, status, message } = answer.json;
  assert.deepEqual(
    { kind, apiVersion, metadata, status, reason: answer.json.reason, code: answer.json.code },
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, code },
  );
  if (more.message instanceof RegExp) assert.match(message, more.message);
  else if (more.message !== undefined) assert.equal(message, more.message);
  if ('details' in more) assert.deepEqual(answer.json.details, more.details);
}

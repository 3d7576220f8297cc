import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change } from './history.ts';
import { type KubeObject, pathOf } from './object.ts';
import { CONFIGMAPS, NODES, PODS } from './resources.ts';
import { ApiFailure } from './status.ts';
import { newStore, type Store } from './store.ts';

type Step = { readonly kind: 'create' | 'patch' | 'remove'; readonly name: string; readonly value: string };

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('create', 'patch', 'remove'),
  name: fc.constantFrom('a', 'b', 'c', 'a-b', 'd.e'),
  value: fc.constantFrom('1', '2', '3'),
});

/** Does what can be done. */
function apply(store: Store, { kind, name, value }: Step): void {
  try {
    if (kind === 'create') store.create(CONFIGMAPS, 'ns', { metadata: { name }, data: { value } });
    else if (kind === 'patch') store.patch(CONFIGMAPS, 'ns', name, { data: { value } }, 'main');
    else store.remove(CONFIGMAPS, 'ns', name);
  } catch (error) {
    assert.ok(error instanceof ApiFailure);
  }
}

const replayed = (from: readonly KubeObject[], changes: readonly Change[]): readonly KubeObject[] => {
  const objects = new Map(from.map(object => [pathOf(object), object]));
  for (const { type, object } of changes)
    if (type === 'DELETED') objects.delete(pathOf(object));
    else objects.set(pathOf(object), object);
  return [...objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
};

test('a list of any moment and the changes since make the list of now', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const store = newStore();
      const moments: { readonly version: number; readonly list: readonly KubeObject[] }[] = [];
      for (const one of steps) {
        moments.push({ version: store.version(), list: store.list(CONFIGMAPS) });
        apply(store, one);
      }
      for (const { version, list } of moments) {
        assert.deepEqual(store.list(CONFIGMAPS, version), list);
        assert.deepEqual(replayed(list, store.since('configmaps', version)), store.list(CONFIGMAPS));
      }
    }),
  );
});

test('versions only grow, one for each change, over all resources', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const store = newStore();
      const seen: number[] = [store.version()];
      store.subscribe(change => seen.push(change.version));
      store.create(NODES, undefined, { metadata: { name: 'n' } });
      for (const one of steps) apply(store, one);
      for (const [n, version] of seen.entries()) assert.equal(version, (seen[0] as number) + n);
      for (const object of store.list(CONFIGMAPS))
        assert.ok(Number(object.metadata.resourceVersion) <= store.version());
    }),
  );
});

test('what is forgotten is not answered from', () => {
  const store = newStore(10);
  for (let n = 0; n < 50; n += 1) store.create(CONFIGMAPS, 'ns', { metadata: { name: `m${n}` } });
  assert.ok(store.oldest() > store.version() - 21 && store.oldest() <= store.version() - 10);
  assert.equal(store.since('configmaps', store.oldest()).length, store.version() - store.oldest());
  assert.deepEqual(store.list(CONFIGMAPS, store.oldest()).length, 50 - (store.version() - store.oldest()));
  store.forget();
  assert.equal(store.oldest(), store.version());
});

test('what a caller gave or got is not what is kept', () => {
  const store = newStore();
  const given = { metadata: { name: 'n' }, spec: { podCIDRs: ['10.0.0.0/24'] } };
  store.create(NODES, undefined, given);
  given.spec.podCIDRs.push('10.0.1.0/24');
  assert.deepEqual(store.get(NODES, undefined, 'n').spec, {
    podCIDRs: ['10.0.0.0/24'],
    taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }],
  });
});

test('a test may make a Pod that runs already', () => {
  const store = newStore();
  const spec = { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] };
  const made = store.create(PODS, 'ns', {
    metadata: { name: 'p' },
    spec,
    status: { phase: 'Running', podIP: '10.0.0.2' },
  });
  assert.deepEqual(made.status, { phase: 'Running', qosClass: 'BestEffort', podIP: '10.0.0.2' });
});

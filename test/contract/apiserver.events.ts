/** Contract: Events. */
import assert from 'node:assert/strict';
import { post } from './apiserver.calls.ts';
import type { Cases } from './apiserver.ts';
import { assertStatus } from './apiserver.world.ts';

export const eventCases: Cases = test => {
  test('Events are one thing under two names', async w => {
    const namespace = await w.namespace();
    const core = `/api/v1/namespaces/${namespace}/events`;
    const group = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    const about = { kind: 'Node', name: 'n1', uid: 'n1', apiVersion: 'v1' };
    const time = '2026-11-24T17:21:59.000000Z';
    await w.create(core, {
      metadata: { name: 'old' },
      involvedObject: { ...about, namespace },
      reason: 'Old',
      message: 'said in the old way',
      type: 'Warning',
      count: 2,
      firstTimestamp: '2026-11-24T17:21:59Z',
      lastTimestamp: '2026-11-24T17:22:59Z',
      source: { component: 'weft', host: 'n1' },
    });
    await w.create(group, {
      metadata: { name: 'new' },
      regarding: { ...about, namespace },
      reason: 'New',
      note: 'said in the new way',
      type: 'Normal',
      action: 'Peer',
      eventTime: time,
      reportingController: 'weft.network/agent',
      reportingInstance: 'n1',
    });
    const inCore = await w.ok(core);
    assert.equal(inCore.kind, 'EventList');
    const [fresh, old] = inCore.items;
    assert.equal(old.message, 'said in the old way');
    assert.deepEqual(
      {
        involvedObject: fresh.involvedObject,
        message: fresh.message,
        reportingComponent: fresh.reportingComponent,
        eventTime: fresh.eventTime,
      },
      {
        involvedObject: { ...about, namespace },
        message: 'said in the new way',
        reportingComponent: 'weft.network/agent',
        eventTime: time,
      },
    );
    const inGroup = await w.ok(`${group}/old`);
    assert.deepEqual(
      [
        inGroup.apiVersion,
        inGroup.note,
        inGroup.deprecatedCount,
        inGroup.deprecatedSource,
        inGroup.regarding,
      ],
      [
        'events.k8s.io/v1',
        'said in the old way',
        2,
        { component: 'weft', host: 'n1' },
        { ...about, namespace },
      ],
    );
  });

  test('Events of a Node go into the namespace default', async w => {
    const involvedObject = { kind: 'Node', name: `${w.id}-a`, uid: 'x', apiVersion: 'v1' };
    const event = {
      metadata: { generateName: `${w.id}.` },
      involvedObject,
      reason: 'Test',
      message: 'm',
      type: 'Warning',
    };
    const made = await w.create('/api/v1/namespaces/default/events', event);
    assert.equal(made.metadata.namespace, 'default');
    await w.remove(`/api/v1/namespaces/default/events/${made.metadata.name}`);
    const namespace = await w.namespace();
    assertStatus(await post(w, `/api/v1/namespaces/${namespace}/events`, event), 422, 'Invalid', {
      message: /involvedObject\.namespace: Invalid value: "": does not match event\.namespace/,
    });
  });
};

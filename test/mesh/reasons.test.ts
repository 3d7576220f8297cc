/** What is said of a peer that is not established: each sentence once, as a user reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, reasonOf } from '../../mesh/reasons.ts';
import { newMeasure, type PeerMeasure } from '../../mesh/state.ts';
import type { PeerPlan } from '../../mesh/types.ts';
import type { Endpoint } from '../../types.ts';
import { golden } from '../golden.ts';

const NOW = 1_000_000;
const ago = (s: number): number => NOW - s * 1_000;

const peer = {
  node: 'node2',
  endpoints: ['203.0.113.7:51820', '[2001:db8::7]:51820'],
} as unknown as PeerPlan;

const endpoint = '203.0.113.7:51820' as Endpoint;
const was: Partial<PeerMeasure> = {
  endpoint,
  wasEstablished: true,
  handshakeAt: ago(90),
  lost: 20,
  rxBytes: 1,
};

const stories: Readonly<Record<string, Partial<PeerMeasure>>> = {
  established: { state: 'established' },
  'just added': { state: 'connecting', wellAt: ago(3) },
  'never a handshake': { state: 'connecting', wellAt: ago(40), lost: 20, endpoint },
  'handshake, no answer yet': { state: 'connecting', wellAt: ago(3), handshakeAt: ago(1), endpoint },
  'nothing to try': { state: 'failed', tryable: false, wellAt: ago(3) },
  'everything dropped': {
    ...was,
    state: 'retrying',
    wellAt: ago(40),
    answeredAt: ago(40),
    receivedAt: ago(38),
  },
  'everything dropped, long ago': {
    ...was,
    state: 'failed',
    wellAt: ago(900),
    answeredAt: ago(900),
    receivedAt: ago(890),
  },
  'its key is another now, and nobody there has it': {
    ...was,
    state: 'retrying',
    wellAt: ago(40),
    answeredAt: ago(40),
    receivedAt: ago(40),
    handshakeAt: undefined,
  },
  'agent there dead': { ...was, state: 'pending', wellAt: ago(25), answeredAt: ago(25), receivedAt: ago(4) },
  'agent there has just died: its last word was that all is well': {
    ...was,
    state: 'pending',
    wellAt: ago(11),
    answeredAt: ago(11),
    receivedAt: ago(1),
    heard: { at: ago(12), unansweredMs: 5_000 },
  },
  'its probes come, its answers do not': {
    ...was,
    state: 'pending',
    wellAt: ago(15),
    answeredAt: ago(15),
    receivedAt: ago(1),
    heard: { at: ago(1), unansweredMs: 5_000 },
  },
  'ours are dropped, and it says so': {
    ...was,
    state: 'pending',
    wellAt: ago(25),
    answeredAt: ago(25),
    receivedAt: ago(1),
    heard: { at: ago(1), unansweredMs: 24_000 },
  },
  'ours are dropped since the start': {
    ...was,
    state: 'pending',
    wasEstablished: false,
    wellAt: ago(25),
    receivedAt: ago(1),
    heard: { at: ago(1), unansweredMs: Number.POSITIVE_INFINITY },
  },
  'ours are dropped and the session is over': {
    ...was,
    state: 'pending',
    wellAt: ago(240),
    answeredAt: ago(240),
    handshakeAt: ago(241),
    receivedAt: ago(2),
    heard: { at: ago(70), unansweredMs: 100_000 },
  },
};

test('the reasons are those of the golden file', () => {
  const text = Object.entries(stories).map(
    ([title, m]) => `${title}\n  ${reasonOf({ ...newMeasure(0), ...m }, peer, NOW) ?? '-'}\n`,
  );
  golden(`${import.meta.dirname}/golden/reasons.txt`, text.join('\n'));
});

test('durations are said in the unit that a person would take', () => {
  const said = [0, 1_499, 119_000, 121_000, 7_100_000, 9_000_000, 400_000_000].map(duration);
  assert.deepEqual(said, ['0 s', '1 s', '119 s', '2 min', '118 min', '3 h', '5 d']);
});

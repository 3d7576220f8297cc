/** An agent's answer to GET /status → what the dashboard shows of it. Pure. */

import { STATES } from '../mesh/state.ts';
import type { ReportedPeer, ReportedStatus } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

const isPeer = (v: unknown): v is ReportedPeer =>
  isFields(v) && typeof v.node === 'string' && (STATES as readonly unknown[]).includes(v.state);

const LISTS = ['parts', 'podCidrs', 'endpoints', 'excluded', 'warnings', 'pods'] as const;

/** @throws where it is not a status, and says what is missing */
export function parseStatus(json: unknown): ReportedStatus & { readonly location?: string } {
  if (!isFields(json)) throw new Error('the agent’s answer is not an object');
  for (const name of LISTS)
    if (!Array.isArray(json[name]))
      throw new Error(`the agent’s answer has no list ${name}: is it of another version?`);
  if (!Array.isArray(json.peers) || !json.peers.every(isPeer))
    throw new Error(
      'the agent’s answer has no peers that this version understands: is it of another version?',
    );
  if (!isFields(json.engine) || typeof json.engine.kind !== 'string')
    throw new Error('the agent’s answer names no engine: is it of another version?');
  return json as unknown as ReportedStatus;
}

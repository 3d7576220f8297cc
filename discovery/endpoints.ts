/** The list of candidates that a node publishes of itself. Pure. */
import { parseEndpoint, toEndpoint } from '../ip.ts';
import type { Result } from '../types.ts';
import { isReachable } from './scope.ts';
import type { Candidate, CandidateType } from './types.ts';

/** Candidates that one node may publish: each costs its peers up to 6 s of trying. */
export const MAX_CANDIDATES = 10;

const TYPES: readonly string[] = ['host', 'ext', 'srflx', 'portmap'] satisfies readonly CandidateType[];

function parseCandidate(item: unknown): Result<Candidate> {
  const { t, a } = (typeof item === 'object' && item !== null ? item : {}) as { t?: unknown; a?: unknown };
  const shown = JSON.stringify(item)?.slice(0, 80);
  if (typeof t !== 'string' || !TYPES.includes(t))
    return { ok: false, error: `${shown}: "t" is not one of ${TYPES.join(', ')}` };
  const endpoint = typeof a === 'string' ? parseEndpoint(a) : undefined;
  if (!endpoint?.ok) return { ok: false, error: `${shown}: "a" is not an address with port` };
  const { ip, port } = endpoint.value;
  if (!isReachable(ip)) return { ok: false, error: `${shown}: no other host reaches ${ip}` };
  return { ok: true, value: { t: t as CandidateType, a: toEndpoint(ip, port) } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What of the list can be used, and what is wrong with the rest. */
export function parseEndpoints(text: string): {
  readonly value: readonly Candidate[];
  readonly errors: readonly string[];
} {
  const list = parseJson(text);
  if (!Array.isArray(list))
    return { value: [], errors: ['is not a JSON list such as [{"t":"host","a":"192.168.1.7:51820"}]'] };
  const items = list.slice(0, MAX_CANDIDATES).map(parseCandidate);
  const errors = items.flatMap(item => (item.ok ? [] : [item.error]));
  const more =
    list.length > MAX_CANDIDATES ? [`has ${list.length} candidates; at most ${MAX_CANDIDATES} count`] : [];
  return { value: items.flatMap(item => (item.ok ? [item.value] : [])), errors: [...more, ...errors] };
}

export const printEndpoints = (candidates: readonly Candidate[]): string =>
  JSON.stringify(candidates.map(({ t, a }) => ({ t, a })));

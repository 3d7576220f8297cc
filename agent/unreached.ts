/** Peers that have not been reached for so long that a person must look: one sentence for an Event. Pure but for its memory. */
import type { PeerStatus } from '../mesh/status.ts';

/** More names would only be cut off. */
const NAMED = 10;

type Peer = Pick<PeerStatus, 'node' | 'state'>;

type ReasonOf = (node: string) => string | undefined;

function sentence(failed: readonly Peer[], peers: number, reasonOf: ReasonOf): string {
  const [first] = failed;
  if (first === undefined) return '';
  const reason = reasonOf(first.node);
  if (failed.length === 1) return `${first.node} cannot be reached: ${reason}`;
  const names = failed.slice(0, NAMED).map(peer => peer.node);
  const more = failed.length > NAMED ? ` and ${failed.length - NAMED} more` : '';
  return `${failed.length} of ${peers} nodes cannot be reached: ${names.join(', ')}${more}; ${first.node}: ${reason}`;
}

/** Peers → the sentence, the same while the same peers are failed (its durations must not make it a new one). */
export function openUnreached(): (peers: readonly Peer[], reasonOf: ReasonOf) => string | undefined {
  let before = { key: '', text: '' };
  return (peers, reasonOf) => {
    const failed = peers.filter(peer => peer.state === 'failed');
    const key = failed.map(peer => peer.node).join(' ');
    if (key !== before.key) before = { key, text: sentence(failed, peers.length, reasonOf) };
    return before.text === '' ? undefined : before.text;
  };
}

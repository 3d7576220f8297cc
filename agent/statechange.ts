/** A peer's new state, in the log: news that it is well as information, all else as a warning. */
import { duration, reasonOf } from '../mesh/reasons.ts';
import type { Log } from './log.ts';
import type { Change } from './prober.ts';

export function sayChange(log: Log, { peer, before, after, now }: Change): void {
  const facts = { peer: peer.node, state: after.state, before: before.state, endpoint: after.endpoint };
  if (after.state !== 'established') log.warn(facts, reasonOf(after, peer, now) ?? after.state);
  else if (!before.wasEstablished) log.info(facts, `${peer.node} is reached`);
  else log.info(facts, `${peer.node} is reached again, after ${duration(now - before.wellAt)}`);
}

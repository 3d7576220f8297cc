/** Shapes that several answers share. */
import { STATES } from '../../mesh/state.ts';
import { list, may, number, object, oneOf, said, string } from '../shape.ts';

export const state = oneOf(...STATES);

export const unasked = said(
  list(object({ node: string, error: string })),
  'agents that could not be asked, and why',
);

const peerFields = {
  node: said(string, 'the peer'),
  publicKey: string,
  state,
  reason: may(said(string, 'why it is not established')),
  stateAgeMs: may(said(number, 'how long it has had this state')),
  endpoint: may(string),
  endpointSource: may(oneOf('host', 'ext', 'srflx', 'portmap', 'forced', 'learnt')),
  endpointChanges: said(number, 'since the agent’s start'),
  candidates: said(list(string), 'endpoints that are tried, best first'),
  path: string,
  podCidrs: list(string),
  mtu: said(number, 'largest packet inside the tunnel to it'),
  mtuLimit: may(said(oneOf('underlay', 'black hole'), 'why it is less than the tunnel’s own')),
  handshakeAgeMs: may(number),
  receivedAgeMs: may(said(number, 'since bytes of it last arrived; looked at every 10 s')),
  answeredAgeMs: may(
    said(number, 'since a probe inside the tunnel was last answered: so old are state, rttMs and loss'),
  ),
  rttMs: may(said(number, 'smoothed')),
  loss: may(said(number, 'share of the last 20 probes that were lost, 0 to 1')),
  rxBytes: number,
  txBytes: number,
} as const;

export const peer = object(peerFields);

export const peerOf = object({ from: said(string, 'the node that says it'), ...peerFields });

export const check = {
  id: said(string, 'stable'),
  grade: oneOf('error', 'warning', 'info', 'ok'),
  what: string,
  cure: may(said(string, 'what to do')),
} as const;

export const exclusion = object({
  node: string,
  kind: oneOf('missing', 'key', 'podCidr', 'occupied'),
  reason: said(string, 'completes “it …”'),
});

export const warning = object({ node: string, message: string });

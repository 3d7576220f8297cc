/** Colours of a terminal, where it has them. Pure. */
import type { PeerState } from '../mesh/status.ts';

export type Paint = (text: string, state: PeerState | 'dim' | 'bold') => string;

const CODES = {
  established: '32',
  pending: '33',
  connecting: '36',
  retrying: '35',
  failed: '31',
  dim: '2',
  bold: '1',
} as const;

export const painter =
  (color: boolean): Paint =>
  (text, state) =>
    color ? `\u001b[${CODES[state]}m${text}\u001b[0m` : text;

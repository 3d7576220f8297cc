/** How fast a pod may send and receive (annotations kubernetes.io/*-bandwidth), as runtimes hand it on. Pure. */
import type { Bucket } from '../platform/linux/tc.ts';
import { CniError, CODES } from './errors.ts';
import { folded } from './folded.ts';

/** Seen from the pod: `ingress` is what it receives. */
export type Limits = { readonly ingress?: Bucket; readonly egress?: Bucket };

/** What runtimes write for a burst that nobody has set; taken literally it would be half a gigabyte. */
const UNSET_BURST = 0x7fff_ffff;

/** Room for a few of the large packets that the kernel cuts up only at the end. */
const LEAST_BURST = 1 << 16;

/** Seconds at full speed that make a burst where nobody has set one. */
const BURST_S = 0.02;

const MAX_BURST = 0xffff_ffff;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Bits in, bytes out. */
function bucket(name: string, rate: unknown = 0, burst: unknown = 0): Bucket | undefined {
  if (!isCount(rate) || !isCount(burst) || (rate > 0 && rate < 1000))
    throw new CniError(
      CODES.badConfig,
      `bandwidth: ${name} of ${JSON.stringify(rate)} bit/s with a burst of ${JSON.stringify(burst)} bits cannot be`,
      'both are whole numbers, the rate 1000 and above',
    );
  if (rate === 0) return undefined;
  const bytes = Math.floor(rate / 8);
  const own = burst > 0 && burst < UNSET_BURST ? Math.floor(burst / 8) : Math.floor(bytes * BURST_S);
  return { rate: bytes, burst: Math.min(Math.max(own, LEAST_BURST), MAX_BURST) };
}

/** `runtimeConfig.bandwidth`; undefined where nothing is limited. Throws CniError. */
export function parseLimits(value: unknown): Limits | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object') throw new CniError(CODES.badConfig, 'bandwidth is no object');
  const { ingressrate, ingressburst, egressrate, egressburst } = folded(value);
  const ingress = bucket('ingress', ingressrate, ingressburst);
  const egress = bucket('egress', egressrate, egressburst);
  if (ingress === undefined && egress === undefined) return undefined;
  return { ...(ingress && { ingress }), ...(egress && { egress }) };
}

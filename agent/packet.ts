/** A question about one packet → the packet. Pure. */
import { parseIp } from '../ip.ts';
import type { Packet } from '../policy/types.ts';
import type { Result } from '../types.ts';

const PROTOCOLS: readonly Packet['protocol'][] = ['TCP', 'UDP', 'SCTP', 'ICMP'];

export function parsePacket(query: URLSearchParams): Result<Packet> {
  const [src, dst] = [parseIp(query.get('src') ?? ''), parseIp(query.get('dst') ?? '')];
  if (!src.ok) return { ok: false, error: `src: ${src.error}` };
  if (!dst.ok) return { ok: false, error: `dst: ${dst.error}` };
  const protocol = PROTOCOLS.find(name => name === (query.get('protocol') ?? 'TCP'));
  if (protocol === undefined) return { ok: false, error: `protocol must be ${PROTOCOLS.join(', ')}` };
  const port = Number(query.get('port') ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    return { ok: false, error: 'port must be 0 to 65535' };
  return { ok: true, value: { src: src.value, dst: dst.value, protocol, port } };
}

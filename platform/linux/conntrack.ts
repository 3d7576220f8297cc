/** Connections that the kernel remembers of what nobody holds any more. */
import { ipToBytes } from '../../ip.ts';
import type { Ip } from '../../types.ts';
import { dstPortBytes, type Flow } from './ctflow.ts';
import type { Flows } from './ctsocket.ts';

type Sides = Pick<Flow, 'src' | 'dst' | 'replySrc' | 'replyDst'>;

/** As source, as destination, and as what a Service's address was translated to. */
export async function forgetAddresses(flows: Flows, ips: readonly Ip[]): Promise<void> {
  const gone = new Set(ips);
  const concerns = ({ src, dst, replySrc, replyDst }: Sides): boolean =>
    [src, dst, replySrc, replyDst].some(ip => gone.has(ip));
  await flows.remove(await flows.list(concerns, ips.map(ipToBytes)));
}

const UDP = 17;

/** UDP flows that began while nobody had these ports: their packets would go on to where they went before. */
export async function forgetUdpPorts(flows: Flows, ports: readonly number[]): Promise<void> {
  if (ports.length === 0) return;
  const begun = ({ protocol, dstPort }: Flow): boolean => protocol === UDP && ports.includes(dstPort);
  await flows.remove(await flows.list(begun, ports.map(dstPortBytes)));
}

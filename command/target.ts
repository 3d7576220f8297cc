/** `POD`, `NAMESPACE/POD` or an address, and a port: what `weft explain` is asked about. Pure. */
import { parseIp } from '../ip.ts';
import type { Protocol } from '../policy/types.ts';
import type { Ip } from '../types.ts';
import { UsageError } from './types.ts';

export type Target = {
  readonly who:
    | { readonly kind: 'ip'; readonly ip: Ip }
    | { readonly kind: 'pod'; readonly namespace: string; readonly name: string };
  readonly port: number | undefined;
  readonly protocol: Protocol;
};

const SHAPE = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]]+?))(?::(\d+)(?:\/(tcp|udp|sctp))?)?$/i;
const NAME = /^(?:([a-z0-9][a-z0-9-]*)\/)?([a-z0-9][a-z0-9.-]*)$/;

const hint =
  'say POD, NAMESPACE/POD or an address, and a port as in web-0:80, 10.42.1.7:53/udp, [fd42::7]:443';

/** Throws UsageError. */
export function parseTarget(text: string): Target {
  const bare = parseIp(text);
  if (bare.ok) return { who: { kind: 'ip', ip: bare.value }, port: undefined, protocol: 'TCP' };
  const [, literal, name = '', port, protocol = 'tcp'] = SHAPE.exec(text) ?? [];
  const ip = parseIp(literal ?? name);
  const number = port === undefined ? undefined : Number(port);
  if (number !== undefined && (number < 1 || number > 65_535))
    throw new UsageError(`${text}: ports are 1 to 65535`);
  const rest = { port: number, protocol: protocol.toUpperCase() as Protocol };
  if (ip.ok) return { who: { kind: 'ip', ip: ip.value }, ...rest };
  const [, namespace = 'default', pod] = NAME.exec(name) ?? [];
  if (literal !== undefined || pod === undefined)
    throw new UsageError(`${text} is no pod and no address: ${hint}`);
  return { who: { kind: 'pod', namespace, name: pod }, ...rest };
}

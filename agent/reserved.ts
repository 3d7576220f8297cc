/** Ports of the node that no pod can have as hostPort: packets to them would go to the pod instead. Pure. */
import type { ReservedPort } from '../cni/ports.ts';
import type { Config } from '../config.ts';
import { PROBE_PORT } from '../constants.ts';

/** `listening`: the port of the WireGuard device as it is, which a change of the setting may not have reached yet. */
export const reservedPorts = (
  { listenPort, healthPort }: Pick<Config, 'listenPort' | 'healthPort'>,
  listening: number | undefined,
): readonly ReservedPort[] => [
  ...[...new Set([listenPort, listening ?? listenPort])].map(
    port =>
      ({ port, protocol: 'udp', holder: 'WireGuard, which carries all pods, has it (listenPort)' }) as const,
  ),
  { port: PROBE_PORT, protocol: 'udp', holder: 'weft measures its tunnels by it' },
  { port: healthPort, protocol: 'tcp', holder: 'the weft agent answers its health there (healthPort)' },
];

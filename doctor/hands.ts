/** What others on this host do to weft's links, told from what the agent had to put back → what a doctor says. Pure. */
import { BRIDGE, LIMIT_PREFIX, VETH_PREFIX, WG_LINK } from '../constants.ts';
import type { MendedKind } from '../mesh/mended.ts';
import type { Check, NodeFacts } from './types.ts';

/** What a network daemon takes from links that it thinks are its own. */
const OF_LINKS: readonly MendedKind[] = ['links', 'addresses', 'routes', 'pods'];

const LINKS = [BRIDGE, WG_LINK, `${VETH_PREFIX}*`, `${LIMIT_PREFIX}*`];

/** Lines for a shell. A .network file of an earlier name comes first. */
const NETWORKD = `printf '[Match]\\nName=${LINKS.join(' ')}\\n[Link]\\nUnmanaged=yes\\n' > /etc/systemd/network/05-weft.network; networkctl reload`;
const NETWORK_MANAGER = `printf '[keyfile]\\nunmanaged-devices=${LINKS.map(link => `interface-name:${link}`).join(';')}\\n' > /etc/NetworkManager/conf.d/weft.conf; nmcli general reload`;

export function hands({ status }: NodeFacts): readonly Check[] {
  const told = OF_LINKS.flatMap(kind => {
    const count = status.mended[kind] ?? 0;
    return count === 0 ? [] : [`${kind} ${count}`];
  });
  if (told.length === 0) return [];
  return [
    {
      id: 'foreign hands',
      grade: 'info',
      what: `somebody on this host changes what is weft’s; the agent has put back since its start: ${told.join(', ')}. A network daemon that is told to manage every link does so whenever it starts, and pods lose packets until it is mended`,
      cure: `with systemd-networkd: ${NETWORKD} (with NetworkManager: ${NETWORK_MANAGER})`,
    },
  ];
}

/** A server with a public address and two boards behind a home router, as k3s people have it. */
import { type Lab, type Member, nodeObject, podCidrs, untilMeshed } from '../../test/lab/lab.ts';
import { newSite, type Site } from '../../test/lab/site.ts';
import { plug } from '../../test/lab/underlay.ts';
import { paths, podOnEach, runExample, untilAllReach } from '../run.ts';

const ROUTER = '192.0.2.50';

/** As k3s makes it on a board: only a private address, and the location that its owner gave. */
const boardObject = (number: number) => ({
  metadata: { name: `node${number}`, annotations: { 'weft.network/location': 'home' } },
  spec: { podCIDR: podCidrs(number)[0], podCIDRs: podCidrs(number) },
  status: { addresses: [{ type: 'InternalIP', address: `192.168.1.${number}` }] },
});

const board = (lab: Lab, home: Site, number: number): Promise<Member> =>
  lab.join(number, { plug: host => home.plug(host, number), object: boardObject });

/** The router chooses ports as it likes. */
const withoutPort = (line: string): string => line.replace(new RegExp(`(${ROUTER}):\\d+`), '$1, the router');

await runExample(import.meta.filename, async ({ lab, say }) => {
  const home = await newSite({ name: 'home', public: ROUTER, network: '192.168.1' });
  say('a server at 192.0.2.1, and two boards in 192.168.1.0/24 behind a router at 192.0.2.50');
  const server = lab.join(1, { plug, object: nodeObject });
  const members = await Promise.all([server, board(lab, home, 2), board(lab, home, 3)]);
  await untilMeshed(members, 30_000);
  const placed = await podOnEach(members);
  const answered = await untilAllReach(placed);
  say(`every pod reaches every other pod: ${answered} of ${answered} pings answered`);
  for (const line of await paths(members)) say(withoutPort(line));
  await members[0]?.stop('SIGKILL');
  await untilAllReach(placed);
  say('with the server’s agent killed, every pod still reaches every other pod');
});

/** A home LAN with static routes to pods: a laptop that is no node talks to pods, and pods to it, by their own addresses. */
import { nodeObject, untilMeshed } from '../../test/lab/lab.ts';
import { type Namespace, newHost } from '../../test/lab/namespace.ts';
import { nodeAddress, plug } from '../../test/lab/underlay.ts';
import { until } from '../../test/lab/wait.ts';
import { podOnEach, runExample, untilAllReach } from '../run.ts';

const LAPTOP = 100;

/** The boards' settings: LAN by link, and destinations that see pods' own addresses. */
const SETTINGS = { directLinks: ['eth0'], unmasked: ['192.0.2.0/24', '2001:db8::/64'] };

const place = { plug, object: nodeObject, settings: SETTINGS };

/** Prints the address from which the first datagram came. */
const LISTEN = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (_, from) => { console.log(from.address); process.exit(0); });
socket.bind(9000, () => console.log('listening'));
setTimeout(() => process.exit(1), 20000);
`;

const SEND = `
const socket = require('node:dgram').createSocket('udp4');
socket.send('hello', 9000, process.argv[1], () => socket.close());
`;

async function sourceSeenBy(laptop: Namespace, pod: Namespace, address: string): Promise<string> {
  const listener = laptop.start([process.execPath, '-e', LISTEN], { stdio: 'pipe' });
  const closed = new Promise(resolve => listener.once('close', resolve));
  let seen = '';
  listener.stdout?.on('data', chunk => {
    seen += chunk;
  });
  await until('the laptop to listen', () => seen.includes('listening') || undefined);
  await pod.run([process.execPath, '-e', SEND, address]);
  await closed;
  return seen.split('\n')[1] ?? '';
}

await runExample(import.meta.filename, async ({ lab, say }) => {
  say('two boards and a laptop on one LAN; the laptop has a static route to each board’s pods');
  const members = await Promise.all([lab.join(1, place), lab.join(2, place)]);
  const laptop = await newHost();
  const { v4 } = await plug(laptop, LAPTOP);
  for (const { number } of members)
    await laptop.run(['ip', 'route', 'add', `10.42.${number}.0/24`, 'via', nodeAddress(number).v4]);
  await untilMeshed(members);
  const placed = await podOnEach(members);
  await untilAllReach(placed);
  for (const { pod, member } of placed) {
    await laptop.run(['ping', '-n', '-c', '1', '-W', '2', pod.v4 ?? '']);
    const source = await sourceSeenBy(laptop, pod.namespace, v4);
    say(
      `${pod.name} on ${member.name}: answers the laptop; the laptop sees it as ${source === pod.v4 ? 'itself' : source}`,
    );
  }
  await laptop.end();
});

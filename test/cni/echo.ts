/** A server for tests: on TCP and UDP it says its name and by which address it was reached. Arguments: name and port. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [name = '', port = ''] = process.argv.slice(2);
const plain = (address: string | undefined): string => (address ?? '').replace('::ffff:', '');

const tcp = createServer(socket => {
  socket.on('error', () => {});
  socket.end(`${name} ${plain(socket.remoteAddress)}\n`);
});
const udp = createSocket({ type: 'udp6', ipv6Only: false });
udp.on('message', (_bytes, from) => udp.send(`${name} ${plain(from.address)}\n`, from.port, from.address));
tcp.listen(Number(port), '::', () => udp.bind(Number(port), '::', () => process.stdout.write('ready\n')));

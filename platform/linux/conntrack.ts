/** Connections that the kernel remembers of an address which nobody holds any more. */
import type { Ip } from '../../types.ts';
import { LinuxError } from './errors.ts';
import { countingExec } from './exec.ts';

const exec = countingExec(() => {});

/** conntrack says so with exit status 1 where there was none to delete. */
const NOTHING = /0 flow entries have been deleted/;

async function forget(direction: '--orig-src' | '--orig-dst' | '--reply-src', ip: Ip): Promise<void> {
  const family = ip.includes(':') ? 'ipv6' : 'ipv4';
  await exec(['conntrack', '-D', '-f', family, direction, ip]).catch(error => {
    if (!(error instanceof LinuxError && NOTHING.test(error.message))) throw error;
  });
}

/** One listing tells who has any: most have none, and a fork for each direction of each would add up. */
async function forgetListed(family: 'ipv4' | 'ipv6', ips: readonly Ip[]): Promise<void> {
  if (ips.length === 0) return;
  const listed = await exec(['conntrack', '-L', '-f', family]);
  for (const ip of ips.filter(one => listed.includes(`=${one} `))) {
    await forget('--orig-src', ip);
    await forget('--orig-dst', ip);
    await forget('--reply-src', ip);
  }
}

/** As source, as destination, and as what a Service's address was translated to. Needs the program conntrack. */
export async function forgetAddresses(ips: readonly Ip[]): Promise<void> {
  await forgetListed(
    'ipv4',
    ips.filter(ip => !ip.includes(':')),
  );
  await forgetListed(
    'ipv6',
    ips.filter(ip => ip.includes(':')),
  );
}

/** UDP flows that began while nobody had these ports: their packets would go on to where they went before. */
export async function forgetUdpPorts(ports: readonly number[]): Promise<void> {
  for (const port of ports)
    for (const family of ['ipv4', 'ipv6'])
      await exec(['conntrack', '-D', '-f', family, '-p', 'udp', '--orig-port-dst', String(port)]).catch(
        error => {
          if (!(error instanceof LinuxError && NOTHING.test(error.message))) throw error;
        },
      );
}

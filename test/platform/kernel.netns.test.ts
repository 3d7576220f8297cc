/** The kernel contract on this machine's kernel, in a namespace of its own. */
import { openSync } from 'node:fs';
import { buildShim } from '../../cni/shim/build.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import { createVeth } from '../../platform/linux/link.ts';
import type { Subject } from '../contract/kernel.helpers.ts';
import { kernelContract } from '../contract/kernel.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

function open(): Subject {
  const kernel = openKernel({ monitor: buildShim(process.arch === 'arm64' ? 'arm64' : 'amd64') });
  const here = openSync('/proc/self/ns/net', 'r');
  let made = 0;
  return {
    kernel,
    addVeth: async name => {
      made += 1;
      const mac = (end: number): string =>
        Buffer.from([2, 0, end, 0, made >> 8, made & 255])
          .toString('hex')
          .replace(/..(?!$)/g, '$&:');
      const ends = { name, mac: mac(1), peerName: `${name}p`, peerMac: mac(2) };
      // Any bridge will do, and it is not the contract's: the port is free at once.
      if ((await kernel.links.get('vethbr')) === undefined)
        await kernel.links.add({ name: 'vethbr', kind: 'bridge' });
      const master = (await kernel.links.get('vethbr'))?.index ?? 0;
      const indexes = { index: 0x10000 + 2 * made, peerIndex: 0x10001 + 2 * made, master };
      await createVeth(kernel.rt, { ...ends, ...indexes, mtu: 1500, peerNetnsFd: here });
      await kernel.links.change(name, { master: 0 });
      await kernel.links.remove('vethbr');
      await kernel.links.change(`${name}p`, { up: true });
    },
  };
}

kernelContract('linux', open);

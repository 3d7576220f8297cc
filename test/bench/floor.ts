/** The physical limit of ADD: a program that only asks the kernel for the pod's wire (floor.c), as a chain of its own. */
import { compiler } from '../../cni/shim/build.ts';
import { newHost } from '../lab/namespace.ts';
import { compile } from './compile.ts';
import { newSide, type Side } from './plugin.ts';

const BRIDGE = `ip link add fl0 type bridge; ip addr add 10.99.0.1/24 dev fl0
ip addr add fd99::1/64 dev fl0 nodad; ip link set fl0 up`;

/** On a host of its own. Static like weft's binary, and by the same compiler. */
export async function floorSide(services: number): Promise<Side> {
  const binary = compile('floor.c', [...compiler(process.arch === 'arm64' ? 'arm64' : 'amd64'), '-static']);
  const host = await newHost();
  await host.run(['sh', '-ec', BRIDGE]);
  const list = {
    title: "the kernel's own part",
    cniVersion: '1.1.0',
    name: 'floor',
    plugins: [{ binary, config: {} }],
  };
  return newSide(host, list, { pods: 10, services });
}

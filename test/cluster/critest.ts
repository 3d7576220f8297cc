/** The CRI's own tests of a runtime, asked of a node's containerd: its pods' network is the cluster's CNI. */
import { join } from 'node:path';
import { ensureBuilt } from './build.ts';
import type { Cluster } from './cluster.ts';
import { AGNHOST_IMAGE, ensureWebImages, HOST_WEB_IMAGE, WEB_IMAGE } from './images.ts';
import { withoutKubelet } from './kubelet.ts';
import { inNode } from './pods.ts';

/** What these tests ask for, and what stands in for it. */
const NAMES = [
  ['registry.k8s.io/e2e-test-images/busybox:1.29-2', AGNHOST_IMAGE],
  ['registry.k8s.io/e2e-test-images/nginx:1.14-2', WEB_IMAGE],
  ['registry.k8s.io/e2e-test-images/httpd:2.4.39-4', WEB_IMAGE],
  ['gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest', HOST_WEB_IMAGE],
  ['gcr.io/k8s-staging-cri-tools/hostnet-nginx-arm64:latest', HOST_WEB_IMAGE],
] as const;

const nameImages = async (cluster: Cluster, node: string): Promise<void> => {
  for (const archive of await ensureWebImages()) await cluster.importImage(archive);
  for (const [wanted, given] of NAMES)
    await inNode(cluster, node, ['ctr', '-n', 'k8s.io', 'images', 'tag', '--force', given, wanted]);
};

/** Runs those whose names match the regular expression, output passed on. @returns the exit code; 0 when all passed */
export const runCritest = async (
  cluster: Cluster,
  node: string,
  focus: string,
  log: (line: string) => void,
): Promise<number> => {
  const [folder = ''] = await ensureBuilt(['critest'], log);
  await nameImages(cluster, node);
  log(`${node}'s kubelet stands still meanwhile: it would remove the tests' pods`);
  let code = 1;
  await withoutKubelet(cluster, node, async () => {
    // Programs come into a node with the machine's own / for a working directory, which has no name in there.
    const argv = ['env', '-C', '/', join(folder, 'critest'), '--ginkgo.no-color', `--ginkgo.focus=${focus}`];
    ({ code } = await cluster.exec(node, argv, { inherit: true, timeoutMs: 0 }));
  });
  return code;
};

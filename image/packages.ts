/**
 * What the image takes from Debian. The Dockerfile has the same list; a test compares them.
 * No shell, no package manager, no certificates: the agent trusts the API server by the authority that
 * Kubernetes hands to each pod, and Node carries its own list.
 */

/** The release whose packages are taken, whatever the building machine runs. */
export const SUITE = 'bookworm';

/** Stands for Debian's multiarch folder in the paths below. */
export const MULTIARCH = 'MULTIARCH';

/** Package → the files that are wanted of it, without leading slash. The libraries they need come by themselves. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  // For hosts whose firewall is iptables-legacy, which nft does not show; what one plain rule needs.
  iptables: [
    'usr/sbin/xtables-legacy-multi',
    `usr/lib/${MULTIARCH}/xtables/libxt_comment.so`,
    `usr/lib/${MULTIARCH}/xtables/libxt_standard.so`,
  ],
  // Node is C++.
  'libstdc++6': [],
  // nft resolves the names of protocols through it.
  netbase: ['etc/protocols'],
  nftables: ['usr/sbin/nft'],
  'wireguard-tools': ['usr/bin/wg'],
};

/** Where there is no Go to build the newer one. */
export const WIREGUARD_GO_PACKAGE = 'wireguard-go';

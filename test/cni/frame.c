/* Sends each frame, given as hex, by the link named first: what a pod with CAP_NET_RAW can do. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
  to.sll_ifindex = argc > 1 ? (int)if_nametoindex(argv[1]) : 0;
  for (int i = 2; i < argc; i++) {
    unsigned char frame[2048] = {0};
    size_t n = strlen(argv[i]) / 2;
    for (size_t b = 0; b < n && b < sizeof frame; b++) sscanf(argv[i] + 2 * b, "%2hhx", &frame[b]);
    if (sendto(fd, frame, n < 60 ? 60 : n, 0, (struct sockaddr *)&to, sizeof to) < 0) return perror("sendto"), 1;
  }
  return 0;
}

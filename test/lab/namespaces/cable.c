// A cable with a length: two Ethernet (TAP) devices in two network namespaces, and every frame that goes in at one end
// comes out at the other after a delay. For kernels without netem.
//
//   cable NAMESPACE DEVICE NAMESPACE DEVICE
//
// It makes both devices, prints "ready", and reads new delays from standard input, one number of microseconds a line. The
// devices are gone when it ends, which is also when its standard input ends.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { frame_bytes_max = 2048, frames_max = 8192 };

struct frame { int64_t due_ns; int bytes; unsigned char data[frame_bytes_max]; };
struct direction { int from, to, head, count; struct frame *frames; };

static void fail(const char *what) {
  fprintf(stderr, "cable: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// A device belongs to the namespace in which it was made.
static int open_tap(const char *namespace, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", namespace);
  int entrance = open(path, O_RDONLY | O_CLOEXEC);
  if (entrance < 0 || setns(entrance, CLONE_NEWNET) < 0) fail(path);
  close(entrance);
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail(device);
  return tap;
}

static void take(struct direction *way, int64_t delay_ns) {
  for (;;) {
    // When the cable is full, what comes in is lost, as on a real line.
    struct frame spare, *frame = way->count < frames_max ? &way->frames[(way->head + way->count) % frames_max] : &spare;
    int bytes = read(way->from, frame->data, frame_bytes_max);
    if (bytes <= 0) return;
    frame->bytes = bytes;
    frame->due_ns = now_ns() + delay_ns;
    if (frame != &spare) way->count++;
  }
}

static void deliver(struct direction *way, int64_t now) {
  while (way->count > 0 && way->frames[way->head].due_ns <= now) {
    struct frame *frame = &way->frames[way->head];
    // A device that is down refuses frames; they are lost.
    if (write(way->to, frame->data, frame->bytes) < 0 && errno == EAGAIN) return;
    way->head = (way->head + 1) % frames_max;
    way->count--;
  }
}

int main(int count, char **words) {
  if (count != 5) {
    fprintf(stderr, "usage: cable NAMESPACE DEVICE NAMESPACE DEVICE\n");
    return 2;
  }
  int one = open_tap(words[1], words[2]), other = open_tap(words[3], words[4]);
  struct direction ways[2] = {{.from = one, .to = other}, {.from = other, .to = one}};
  for (int way = 0; way < 2; way++)
    if ((ways[way].frames = calloc(frames_max, sizeof(struct frame))) == NULL) fail("memory");
  int64_t delay_ns = 0;
  char order[64];
  int order_bytes = 0;
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int64_t now = now_ns(), wait_ns = -1;
    for (int way = 0; way < 2; way++) {
      deliver(&ways[way], now);
      if (ways[way].count == 0) continue;
      int64_t left_ns = ways[way].frames[ways[way].head].due_ns - now;
      // A device that is full is tried again soon.
      if (left_ns <= 0) left_ns = 100000;
      if (wait_ns < 0 || left_ns < wait_ns) wait_ns = left_ns;
    }
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    struct pollfd inputs[3] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (ppoll(inputs, 3, wait_ns < 0 ? NULL : &wait, NULL) < 0 && errno != EINTR) fail("poll");
    if (inputs[0].revents) take(&ways[0], delay_ns);
    if (inputs[1].revents) take(&ways[1], delay_ns);
    if (inputs[2].revents) {
      int bytes = read(0, order + order_bytes, sizeof order - 1 - order_bytes);
      if (bytes <= 0) return 0;
      order_bytes += bytes;
      order[order_bytes] = 0;
      char *end;
      while ((end = strchr(order, '\n')) != NULL) {
        delay_ns = atoll(order) * 1000;
        order_bytes -= end + 1 - order;
        memmove(order, end + 1, order_bytes + 1);
      }
      if (order_bytes == sizeof order - 1) order_bytes = 0;
    }
  }
}

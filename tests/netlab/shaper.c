/* A bad network between two TUN devices: delay, loss, rate limit, bounded queue and outages, changed by lines
 * on standard input ("delay_ms 25", "loss 0.03", "rate_mbit 10", "queue_bytes 250000", "up 0", "stats").
 * Ends when standard input ends. Usage: shaper DEVICE DEVICE SEED */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct packet {
    struct packet *next;
    double due_s;
    ssize_t size;
    unsigned char bytes[];
};

struct direction {
    int from, to;
    struct packet *first, *last;
    double line_free_s; /* when the rate limit will have sent all that was taken */
    long carried, lost, overflowed;
};

static struct {
    double delay_s, loss, rate_mbit, queue_bytes;
    int is_up;
} path = {0, 0, 0, 250000, 1};

static uint64_t random_state;

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double random_fraction(void) { /* xorshift64*, so that a seed repeats a run's losses */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)((random_state * 0x2545F4914F6CDD1DULL) >> 11) / 9007199254740992.0;
}

static int open_tun(const char *name) {
    struct ifreq request;
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
        perror(name);
        exit(1);
    }
    return device;
}

/* Return when the packet has passed the rate limit, or a negative number if the queue is full. */
static double pass_line(struct direction *direction, ssize_t size, double now) {
    if (path.rate_mbit <= 0)
        return now;
    double bytes_per_s = path.rate_mbit * 1e6 / 8;
    if (direction->line_free_s < now)
        direction->line_free_s = now;
    if ((direction->line_free_s - now) * bytes_per_s + (double)size > path.queue_bytes)
        return -1;
    direction->line_free_s += (double)size / bytes_per_s;
    return direction->line_free_s;
}

static void take(struct direction *direction) {
    static unsigned char bytes[65536];
    for (;;) {
        ssize_t size = read(direction->from, bytes, sizeof bytes);
        if (size <= 0)
            return;
        if (!path.is_up || random_fraction() < path.loss) {
            direction->lost++;
            continue;
        }
        double sent_s = pass_line(direction, size, now_s());
        if (sent_s < 0) {
            direction->overflowed++;
            continue;
        }
        struct packet *packet = malloc(sizeof *packet + (size_t)size);
        if (packet == NULL)
            exit(1);
        packet->next = NULL;
        packet->due_s = sent_s + path.delay_s;
        packet->size = size;
        memcpy(packet->bytes, bytes, (size_t)size);
        *(direction->last ? &direction->last->next : &direction->first) = packet;
        direction->last = packet;
    }
}

static void deliver(struct direction *direction) {
    double now = now_s();
    while (direction->first && direction->first->due_s <= now) {
        struct packet *packet = direction->first;
        if (path.is_up && write(direction->to, packet->bytes, (size_t)packet->size) > 0)
            direction->carried++;
        else
            direction->lost++;
        direction->first = packet->next;
        if (direction->first == NULL)
            direction->last = NULL;
        free(packet);
    }
}

static void obey(const char *line, const struct direction *there, const struct direction *back) {
    double value = 0;
    char name[32] = "";
    sscanf(line, "%31s %lf", name, &value);
    if (!strcmp(name, "delay_ms"))
        path.delay_s = value / 1e3;
    else if (!strcmp(name, "loss"))
        path.loss = value;
    else if (!strcmp(name, "rate_mbit"))
        path.rate_mbit = value;
    else if (!strcmp(name, "queue_bytes"))
        path.queue_bytes = value;
    else if (!strcmp(name, "up"))
        path.is_up = value != 0;
    else if (strcmp(name, "stats"))
        exit(2);
    printf("%ld %ld %ld %ld %ld %ld\n", there->carried, there->lost, there->overflowed, back->carried, back->lost,
           back->overflowed);
    fflush(stdout);
}

static double wait_s(const struct direction *there, const struct direction *back) {
    double wait = 1, now = now_s();
    if (there->first && there->first->due_s - now < wait)
        wait = there->first->due_s - now;
    if (back->first && back->first->due_s - now < wait)
        wait = back->first->due_s - now;
    return wait > 0 ? wait : 0;
}

int main(int count, char **arguments) {
    if (count != 4)
        return 2;
    int left = open_tun(arguments[1]), right = open_tun(arguments[2]);
    struct direction there = {.from = left, .to = right}, back = {.from = right, .to = left};
    random_state = strtoull(arguments[3], NULL, 10) | 1;
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd ends[] = {{left, POLLIN, 0}, {right, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        double wait = wait_s(&there, &back);
        struct timespec timeout = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
        ppoll(ends, 3, &timeout, NULL);
        take(&there);
        take(&back);
        if (ends[2].revents) {
            char line[256];
            ssize_t size = read(STDIN_FILENO, line, sizeof line - 1); /* one command at a time: each is answered */
            if (size <= 0)
                return 0;
            line[size] = 0;
            obey(line, &there, &back);
        }
        deliver(&there);
        deliver(&back);
    }
}

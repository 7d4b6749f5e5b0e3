/* A few threads that share one job at a time. Whoever comes while they are at work does its job alone. */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define MOST_THREADS 64
#define SPINS 4000 /* looks for the next job before a thread goes to sleep: products of a step follow each other closely */

typedef void (*Part)(const void *job, long part, long parts);

static struct {
    pthread_mutex_t busy, lock;
    pthread_cond_t wake;
    atomic_long turn, left;
    long threads, parts; /* helpers that were started; parts of the job, one of them the caller's */
    Part part;
    const void *job;
    int watched;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

typedef struct {
    long number, seen;
} Helper;

static Helper helpers[MOST_THREADS];

static void *help(void *about) {
    const long number = ((Helper *)about)->number;
    long seen = ((Helper *)about)->seen;
    for (;;) {
        for (long spins = 0; atomic_load(&pool.turn) == seen; spins++) {
            if (spins < SPINS) {
                _mm_pause();
                continue;
            }
            pthread_mutex_lock(&pool.lock);
            while (atomic_load(&pool.turn) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
            pthread_mutex_unlock(&pool.lock);
        }
        seen++;
        if (number < pool.parts) pool.part(pool.job, number, pool.parts);
        atomic_fetch_sub(&pool.left, 1);
    }
    return NULL;
}

/* A child process has none of its parent's threads. */
static void forget(void) {
    pthread_mutex_init(&pool.busy, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.threads = 0;
    atomic_store(&pool.left, 0);
}

static void start(long wanted) {
    if (!pool.watched) pool.watched = pthread_atfork(NULL, NULL, forget) == 0;
    while (pool.threads < wanted && pool.threads < MOST_THREADS) {
        Helper *helper = &helpers[pool.threads];
        *helper = (Helper){pool.threads + 1, atomic_load(&pool.turn)};
        pthread_t thread;
        if (pthread_create(&thread, NULL, help, helper)) return;
        pthread_detach(thread);
        pool.threads++;
    }
}

/* Do `part` for every part of a job, on up to `threads` threads. */
static void share(Part part, const void *job, long threads) {
    if (threads < 2 || pthread_mutex_trylock(&pool.busy)) {
        part(job, 0, 1);
        return;
    }
    start(threads - 1);
    pool.part = part;
    pool.job = job;
    pool.parts = threads - 1 < pool.threads ? threads : pool.threads + 1;
    atomic_store(&pool.left, pool.threads);
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.turn, 1);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    part(job, 0, pool.parts);
    for (long spins = 0; atomic_load(&pool.left); spins++) {
        _mm_pause();
        if (spins > SPINS) sched_yield();
    }
    pthread_mutex_unlock(&pool.busy);
}

/* Steps of small language models, and products of few rows, for processors with AVX2 or AVX-512.

   Compiled once per instruction set: avx2.c and avx512.c include this. A row's sums are taken in one order whatever the
   rows beside it and however many threads take part, so that a row of a batch is what it is alone. Values that are not
   finite stay so.

   Axes: R rows, I inputs, O outputs, H hidden width, h heads, k key and value heads, d head width, N capacity,
   C condition width, X flowing width, L layers, S times. */

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "vectors.h"

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define LAYOUT 1 /* grows with every change of a structure or of what a function is given; kernels.py has the same */
#define BLOCK 64 /* outputs that lie together in a packed weight */
#define RUN (4 * WIDTH) /* outputs that are summed together */
#define SHARED (1 << 18) /* weights from which threads share a product */

EXPORT const long layout = LAYOUT;

/* A weight [O, I]. HALF (float16) and INT8 ones are packed: [O / 64, I, 64], the last block filled up with zeros. PLAIN
   ones are float32 as they are; their I is a multiple of 16. */
enum { HALF, INT8, PLAIN };
typedef struct {
    const void *values;
    const float *scales; /* INT8: one an output, filled up */
    long kind, inputs, outputs;
} Weight;

static long padded(long outputs) { return (outputs + BLOCK - 1) / BLOCK * BLOCK; }

/* RUN outputs of `rows` rows; `rows` and `whole` are constants where this is inlined. */
INLINE void run(const int rows, const int whole, const char *values, const float *scales, long inputs, const float *x,
                float *y, long y_step) {
    Vector sums[MOST_ROWS][4];
    const long step = BLOCK * (whole ? 1 : 2);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 4; v++) sums[r][v] = zero();
    for (long i = 0; i < inputs; i++, values += step) {
        Vector read[4];
        for (int v = 0; v < 4; v++)
            read[v] = whole ? load_int8((const int8_t *)values + v * WIDTH) : load_half((const uint16_t *)values + v * WIDTH);
        for (int r = 0; r < rows; r++) {
            const Vector one = all(x[r * inputs + i]);
            for (int v = 0; v < 4; v++) sums[r][v] = multiply_add(read[v], one, sums[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 4; v++) {
            const Vector sum = whole ? multiply(sums[r][v], load(scales + v * WIDTH)) : sums[r][v];
            store(y + r * y_step + v * WIDTH, sum);
        }
}

/* `outputs` sums of `rows` rows with a PLAIN weight; both are constants where this is inlined. */
INLINE void plain_run(const int rows, const int outputs, const float *values, long inputs, const float *x, float *y,
                      long y_step) {
    Vector sums[MOST_ROWS][4];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) sums[r][o] = zero();
    for (long i = 0; i < inputs; i += WIDTH) {
        Vector read[4];
        for (int o = 0; o < outputs; o++) read[o] = load(values + o * inputs + i);
        for (int r = 0; r < rows; r++) {
            const Vector one = load(x + r * inputs + i);
            for (int o = 0; o < outputs; o++) sums[r][o] = multiply_add(read[o], one, sums[r][o]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) y[r * y_step + o] = total(sums[r][o]);
}

typedef struct {
    const Weight *weight;
    const float *x;
    float *y;
    long y_step, rows;
} Product;

/* Call `action(rows)` with a constant number of rows, at most MOST_ROWS. */
#if MOST_ROWS == 6
#define WITH_ROWS(count, action) \
    switch (count) { \
    case 1: action(1); break; \
    case 2: action(2); break; \
    case 3: action(3); break; \
    case 4: action(4); break; \
    case 5: action(5); break; \
    default: action(6); \
    }
#else
#define WITH_ROWS(count, action) \
    switch (count) { \
    case 1: action(1); break; \
    default: action(2); \
    }
#endif

static void packed_part(const Product *job, long part, long parts) {
    const Weight *weight = job->weight;
    const long inputs = weight->inputs, whole = weight->kind == INT8, count = padded(weight->outputs) / BLOCK;
    for (long output = count * part / parts * BLOCK; output < count * (part + 1) / parts * BLOCK; output += RUN) {
        const long inside = output % BLOCK;
        const char *values = (const char *)weight->values + ((output - inside) * inputs + inside) * (whole ? 1 : 2);
        const float *scales = whole ? weight->scales + output : NULL;
        for (long row = 0; row < job->rows; row += MOST_ROWS) {
            const float *x = job->x + row * inputs;
            float *y = job->y + row * job->y_step + output;
#define WHOLE(n) run(n, 1, values, scales, inputs, x, y, job->y_step)
#define HALVES(n) run(n, 0, values, scales, inputs, x, y, job->y_step)
            if (whole) WITH_ROWS(job->rows - row, WHOLE)
            else WITH_ROWS(job->rows - row, HALVES)
        }
    }
}

static void plain_part(const Product *job, long part, long parts) {
    const long inputs = job->weight->inputs, outputs = job->weight->outputs, fours = outputs / 4;
    const long last = part + 1 == parts ? outputs : fours * (part + 1) / parts * 4;
    for (long output = fours * part / parts * 4; output < last;) {
        const float *values = (const float *)job->weight->values + output * inputs;
        const int together = last - output < 4 ? 1 : 4;
        for (long row = 0; row < job->rows; row += MOST_ROWS) {
            const float *x = job->x + row * inputs;
            float *y = job->y + row * job->y_step + output;
#define FOUR(n) plain_run(n, 4, values, inputs, x, y, job->y_step)
#define ONE(n) plain_run(n, 1, values, inputs, x, y, job->y_step)
            if (together == 4) WITH_ROWS(job->rows - row, FOUR)
            else WITH_ROWS(job->rows - row, ONE)
        }
        output += together;
    }
}

static void product_part(const void *about, long part, long parts) {
    const Product *job = about;
    if (job->weight->kind == PLAIN) plain_part(job, part, parts);
    else packed_part(job, part, parts);
}

/* Rows x [R, I] -> y [R, O], whose rows begin every `y_step` numbers; packed weights write padded rows. */
static void times(const Weight *weight, const float *x, float *y, long y_step, long rows, long threads) {
    const Product job = {weight, x, y, y_step, rows};
    share(product_part, &job, weight->inputs * weight->outputs < SHARED ? 1 : threads);
}

/* Rows: widths are multiples of 16 */

/* x / sqrt(mean of squares + eps) of one row; `weight` may be NULL. */
static void norm(const float *x, const float *weight, float *y, long width, float eps) {
    Vector squares = zero();
    for (long i = 0; i < width; i += WIDTH) {
        const Vector v = load(x + i);
        squares = multiply_add(v, v, squares);
    }
    const Vector scale = all(1.0f / sqrtf(total(squares) / width + eps));
    for (long i = 0; i < width; i += WIDTH) {
        const Vector v = multiply(load(x + i), scale);
        store(y + i, weight ? multiply(v, load(weight + i)) : v);
    }
}

/* SiLU(x) · y, into x */
static void gate(float *x, const float *y, long count) {
    for (long i = 0; i < count; i += WIDTH) store(x + i, multiply(silu(load(x + i)), load(y + i)));
}

static void join(float *x, const float *more, long width) {
    for (long i = 0; i < width; i += WIDTH) store(x + i, add(load(x + i), load(more + i)));
}

/* The language model: H, h d, k d and the inner width are multiples of 64, d of 16 */

typedef struct {
    Weight q, k, v, out, gate, up, down;
    const float *before, *between; /* norms' weights */
} Layer;

typedef struct {
    const Layer *layers;
    const float *norm;
    long count, hidden, inner, heads, kv_heads, head;
    float eps;
} Llama;

/* Turn x [d] by half-split tables whose sine has its first half negated. */
static void turn(const float *x, const float *cosine, const float *sine, float *y, long width) {
    const long half = width / 2;
    for (long i = 0; i < width; i++) y[i] = x[i] * cosine[i] + x[i < half ? i + half : i - half] * sine[i];
}

/* One query [d] over `count` keys and values [N, d] -> attended [d]; `weights` [N] is scratch. */
static void attend(const float *query, const float *keys, const float *values, long count, long width, float *weights,
                   float *y) {
    const float scale = 1.0f / sqrtf((float)width);
    float most = -INFINITY;
    for (long p = 0; p < count; p++) {
        Vector sum = zero();
        for (long i = 0; i < width; i += WIDTH) sum = multiply_add(load(query + i), load(keys + p * width + i), sum);
        weights[p] = total(sum) * scale;
        if (weights[p] > most) most = weights[p];
    }
    for (long p = count; p % WIDTH; p++) weights[p] = -INFINITY;
    Vector sums = zero();
    for (long p = 0; p < count; p += WIDTH) {
        const Vector v = exponential(subtract(load(weights + p), all(most)));
        store(weights + p, v);
    }
    for (long p = count; p % WIDTH; p++) weights[p] = 0.0f;
    for (long p = 0; p < count; p += WIDTH) sums = add(sums, load(weights + p));
    const Vector share = all(1.0f / total(sums));
    for (long i = 0; i < width; i += WIDTH) {
        Vector sum = zero();
        for (long p = 0; p < count; p++) sum = multiply_add(all(weights[p]), load(values + p * width + i), sum);
        store(y + i, multiply(sum, share));
    }
}

/* One position of every row: x [R, H], changed to hidden states after the final norm.

   stored: keys, then values, of all layers; row r of layer l begins at stored + l · layer_step + places[r], [2k, N, d].
   positions: [R], how far each row is filled; the new position is written there. Rows may be positions of one sequence in
   their order: each sees those before it.
   cosine, sine: [≥ N, d], the sine's first half negated. Returns 0, or 1 where memory ran out. */
EXPORT int llama_step(const Llama *model, long rows, float *x, float *stored, long layer_step, const long *places,
                      const long *positions, long capacity, const float *cosine, const float *sine, long threads) {
    const long hidden = model->hidden, inner = model->inner, head = model->head, heads = model->heads;
    const long kv_heads = model->kv_heads, wide = (heads + 2 * kv_heads) * head, mixed = heads * head;
    float *scratch = malloc((rows * (hidden + wide + mixed + 2 * inner) + head + padded(capacity)) * sizeof(float));
    if (!scratch) return 1;
    float *normed = scratch, *qkv = normed + rows * hidden, *attended = qkv + rows * wide, *gated = attended + rows * mixed;
    float *passed = gated + rows * inner, *query = passed + rows * inner, *weights = query + head;
    for (long index = 0; index < model->count; index++) {
        const Layer *layer = &model->layers[index];
        for (long r = 0; r < rows; r++) norm(x + r * hidden, layer->before, normed + r * hidden, hidden, model->eps);
        times(&layer->q, normed, qkv, wide, rows, threads);
        times(&layer->k, normed, qkv + mixed, wide, rows, threads);
        times(&layer->v, normed, qkv + mixed + kv_heads * head, wide, rows, threads);
        for (long r = 0; r < rows; r++) {
            float *own = qkv + r * wide, *cache = stored + index * layer_step + places[r];
            const long at = positions[r];
            const float *c = cosine + at * head, *s = sine + at * head;
            for (long k = 0; k < kv_heads; k++) {
                turn(own + (heads + k) * head, c, s, cache + (k * capacity + at) * head, head);
                memcpy(cache + ((kv_heads + k) * capacity + at) * head, own + (heads + kv_heads + k) * head,
                       head * sizeof(float));
            }
            for (long h = 0; h < heads; h++) {
                const float *keys = cache + h / (heads / kv_heads) * capacity * head;
                turn(own + h * head, c, s, query, head);
                attend(query, keys, keys + kv_heads * capacity * head, at + 1, head, weights, attended + r * mixed + h * head);
            }
        }
        times(&layer->out, attended, normed, hidden, rows, threads);
        join(x, normed, rows * hidden);
        for (long r = 0; r < rows; r++) norm(x + r * hidden, layer->between, normed + r * hidden, hidden, model->eps);
        times(&layer->gate, normed, gated, inner, rows, threads);
        times(&layer->up, normed, passed, inner, rows, threads);
        gate(gated, passed, rows * inner);
        times(&layer->down, gated, normed, hidden, rows, threads);
        join(x, normed, rows * hidden);
    }
    for (long r = 0; r < rows; r++) norm(x + r * hidden, model->norm, x + r * hidden, hidden, model->eps);
    free(scratch);
    return 0;
}

/* The flow head: C and the inner width are multiples of 64 */

typedef struct {
    Weight modulation, gate, up, down; /* of the last layer: only the modulation */
    const float *norm;                 /* its weights, NULL in the last layer */
} HeadLayer;

typedef struct {
    Weight entry, condition, exit;
    const HeadLayer *layers; /* L and the last */
    long width, latent, inner, count;
    float eps;
} Head;

/* Conditions [R, C] and embedded times [S, C] -> modulation [S, R, (3L + 2) C] (shift, 1 + scale and gate of every layer),
   for S = 0 times [R, C], one a row -> [R, (3L + 2) C]. */
EXPORT int head_modulate(const Head *head, long rows, long count, const float *condition, const float *embedded,
                         float *made, long threads) {
    const long width = head->width, step = (3 * head->count + 2) * width, paired = count == 0;
    if (paired) count = 1;
    float *scratch = malloc((rows + rows * count) * width * sizeof(float));
    if (!scratch) return 1;
    float *own = scratch, *signal = scratch + rows * width;
    times(&head->condition, condition, own, width, rows, threads);
    for (long s = 0; s < count; s++)
        for (long r = 0; r < rows; r++) {
            const float *when = embedded + (paired ? r : s) * width;
            for (long i = 0; i < width; i += WIDTH)
                store(signal + (s * rows + r) * width + i, silu(add(load(own + r * width + i), load(when + i))));
        }
    for (long index = 0; index <= head->count; index++) {
        float *at = made + index * 3 * width;
        times(&head->layers[index].modulation, signal, at, step, rows * count, threads);
        for (long r = 0; r < rows * count; r++)
            for (long i = 0; i < width; i += WIDTH) {
                float *scale = at + r * step + width + i;
                store(scale, add(load(scale), all(1.0f)));
            }
    }
    free(scratch);
    return 0;
}

/* x · y + more, one by one, into `to` */
static void blend(const float *x, const float *y, const float *more, float *to, long width) {
    for (long i = 0; i < width; i += WIDTH) store(to + i, multiply_add(load(x + i), load(y + i), load(more + i)));
}

/* Points [P, X], P = R or 1 for all rows, under modulations [R, (3L + 2) C] -> velocities [R, padded X]. */
EXPORT int head_velocity(const Head *head, long rows, long points, const float *x, const float *modulation,
                         float *velocity, long threads) {
    const long width = head->width, inner = head->inner, step = (3 * head->count + 2) * width;
    float *scratch = malloc(rows * 2 * (width + inner) * sizeof(float));
    if (!scratch) return 1;
    float *hidden = scratch, *normed = hidden + rows * width, *gated = normed + rows * width, *passed = gated + rows * inner;
    times(&head->entry, x, hidden, width, points, threads);
    for (long r = points; r < rows; r++) memcpy(hidden + r * width, hidden, width * sizeof(float));
    for (long index = 0; index <= head->count; index++) {
        const HeadLayer *layer = &head->layers[index];
        const float *shift = modulation + index * 3 * width, *scale = shift + width, *share = scale + width;
        for (long r = 0; r < rows; r++) {
            float *at = normed + r * width;
            norm(hidden + r * width, layer->norm, at, width, head->eps);
            blend(at, scale + r * step, shift + r * step, at, width);
        }
        if (index == head->count) break;
        times(&layer->gate, normed, gated, inner, rows, threads);
        times(&layer->up, normed, passed, inner, rows, threads);
        gate(gated, passed, rows * inner);
        times(&layer->down, gated, normed, width, rows, threads);
        for (long r = 0; r < rows; r++)
            blend(normed + r * width, share + r * step, hidden + r * width, hidden + r * width, width);
    }
    times(&head->exit, normed, velocity, padded(head->latent), rows, threads);
    free(scratch);
    return 0;
}

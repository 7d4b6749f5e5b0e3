/* Steps of small language models, and products of few rows, for processors with AVX2 or AVX-512.

   Compiled once per instruction set: avx2.c and avx512.c include this. A row's sums are taken in one order whatever the
   rows beside it and however many threads take part, so that a row of a batch is what it is alone. Values that are not
   finite stay so. Matrices that are written have room for rows of `padded` length.

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
#define BLOCK 64 /* outputs that lie together in a packed weight */
#define AHEAD 2048 /* bytes by which weights are asked for before they are read */
#define RUN (4 * WIDTH) /* outputs that are summed together */

/* A packed weight: [O / 64, I, 64], the last block filled up with zeros. */
typedef struct {
    const void *values; /* float16, or int8 where there are scales */
    const float *scales; /* one an output, or NULL */
    long inputs, outputs;
} Weight;

static long padded(long outputs) { return (outputs + BLOCK - 1) / BLOCK * BLOCK; }

/* RUN outputs of `rows` rows; `rows` and `whole` are constants where this is inlined. */
INLINE void run(const int rows, const int whole, const char *values, const float *scales, long inputs, const float *x,
                long x_step, float *y, long y_step) {
    Vector sums[MOST_ROWS][4];
    const long step = BLOCK * (whole ? 1 : 2);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 4; v++) sums[r][v] = zero();
    for (long i = 0; i < inputs; i++, values += step) {
        Vector read[4];
        _mm_prefetch(values + AHEAD, _MM_HINT_T0);
        if (!whole) _mm_prefetch(values + AHEAD + 64, _MM_HINT_T0);
        for (int v = 0; v < 4; v++)
            read[v] = whole ? load_int8((const int8_t *)values + v * WIDTH) : load_half((const uint16_t *)values + v * WIDTH);
        for (int r = 0; r < rows; r++) {
            const Vector one = all(x[r * x_step + i]);
            for (int v = 0; v < 4; v++) sums[r][v] = multiply_add(read[v], one, sums[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < 4; v++) {
            const Vector sum = whole ? multiply(sums[r][v], load(scales + v * WIDTH)) : sums[r][v];
            store(y + r * y_step + v * WIDTH, sum);
        }
}

/* Blocks [first, last) of the outputs of rows x [R, I] -> y [R, O]. */
static void multiply_blocks(const Weight *weight, const float *x, long x_step, float *y, long y_step, long rows,
                            long first, long last) {
    const long inputs = weight->inputs, whole = weight->scales != NULL, size = whole ? 1 : 2;
    for (long output = first * BLOCK; output < last * BLOCK; output += RUN) {
        const long inside = output % BLOCK;
        const char *values = (const char *)weight->values + ((output - inside) * inputs + inside) * size;
        const float *scales = whole ? weight->scales + output : NULL;
        for (long row = 0; row < rows; row += MOST_ROWS) {
            const float *from = x + row * x_step;
            float *to = y + row * y_step + output;
#define ROWS(n) \
    case n: \
        if (whole) run(n, 1, values, scales, inputs, from, x_step, to, y_step); \
        else run(n, 0, values, scales, inputs, from, x_step, to, y_step); \
        break;
            switch (rows - row) {
                ROWS(1)
#if MOST_ROWS > 2
                ROWS(2)
                ROWS(3)
                ROWS(4)
                ROWS(5)
#endif
            default:
                if (whole) run(MOST_ROWS, 1, values, scales, inputs, from, x_step, to, y_step);
                else run(MOST_ROWS, 0, values, scales, inputs, from, x_step, to, y_step);
            }
#undef ROWS
        }
    }
}

/* Rows x [R, I] -> y [R, padded O], on this thread. */
static void times(const Weight *weight, const float *x, float *y, long rows) {
    const long outputs = padded(weight->outputs);
    multiply_blocks(weight, x, weight->inputs, y, outputs, rows, 0, outputs / BLOCK);
}

typedef struct {
    const Weight *weight;
    const float *x;
    float *y;
    long rows;
} Product;

static void multiply_part(const void *about, long part, long parts) {
    const Product *job = about;
    const long outputs = padded(job->weight->outputs), count = outputs / BLOCK;
    multiply_blocks(job->weight, job->x, job->weight->inputs, job->y, outputs, job->rows, count * part / parts,
                    count * (part + 1) / parts);
}

/* Rows x [R, I] -> y [R, padded O]. */
EXPORT void product(const Weight *weight, const float *x, float *y, long rows, long threads) {
    const Product job = {weight, x, y, rows};
    share(multiply_part, &job, threads);
}

/* A float32 weight as it is: [O, I]. */

typedef struct {
    const float *weight, *x;
    float *y;
    long rows, inputs, outputs;
} Plain;

/* `outputs` sums of `rows` rows; both are constants where this is inlined. */
INLINE void plain_run(const int rows, const int outputs, const float *weight, long inputs, const float *x, float *y,
                      long y_step) {
    Vector sums[MOST_ROWS][4];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) sums[r][o] = zero();
    for (long i = 0; i < inputs; i += WIDTH) {
        Vector read[4];
        for (int o = 0; o < outputs; o++) read[o] = load(weight + o * inputs + i);
        for (int r = 0; r < rows; r++) {
            const Vector values = load(x + r * inputs + i);
            for (int o = 0; o < outputs; o++) sums[r][o] = multiply_add(read[o], values, sums[r][o]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < outputs; o++) y[r * y_step + o] = total(sums[r][o]);
}

static void plain_part(const void *about, long part, long parts) {
    const Plain *job = about;
    const long inputs = job->inputs, fours = job->outputs / 4;
    const long first = fours * part / parts * 4, last = part + 1 == parts ? job->outputs : fours * (part + 1) / parts * 4;
    for (long output = first; output < last;) {
        const float *weight = job->weight + output * inputs;
        const int together = last - output < 4 ? 1 : 4;
        for (long row = 0; row < job->rows; row += MOST_ROWS) {
            const float *x = job->x + row * inputs;
            float *y = job->y + row * job->outputs + output;
#define ROWS(n) \
    case n: \
        if (together == 4) plain_run(n, 4, weight, inputs, x, y, job->outputs); \
        else plain_run(n, 1, weight, inputs, x, y, job->outputs); \
        break;
            switch (job->rows - row) {
                ROWS(1)
#if MOST_ROWS > 2
                ROWS(2)
                ROWS(3)
                ROWS(4)
                ROWS(5)
#endif
            default:
                if (together == 4) plain_run(MOST_ROWS, 4, weight, inputs, x, y, job->outputs);
                else plain_run(MOST_ROWS, 1, weight, inputs, x, y, job->outputs);
            }
#undef ROWS
        }
        output += together;
    }
}

/* Rows x [R, I] -> y [R, O] by a weight [O, I]; I is a multiple of 16. */
EXPORT void plain_product(const float *weight, const float *x, float *y, long rows, long inputs, long outputs,
                          long threads) {
    const Plain job = {weight, x, y, rows, inputs, outputs};
    share(plain_part, &job, threads);
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

static void gate(const float *both, float *y, long inner) {
    for (long i = 0; i < inner; i += WIDTH) store(y + i, multiply(silu(load(both + i)), load(both + inner + i)));
}

static void join(float *x, const float *more, long width) {
    for (long i = 0; i < width; i += WIDTH) store(x + i, add(load(x + i), load(more + i)));
}

/* The language model: H, (h + 2k) d, h d and 2 · inner are multiples of 64, d of 16 */

typedef struct {
    Weight qkv, out, both, down; /* norms' weights are in qkv and both */
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
   positions: [R], how far each row is filled; the new position is written there.
   cosine, sine: [≥ N, d], the sine's first half negated. Returns 0, or 1 where memory ran out. */
EXPORT int llama_step(const Llama *model, long rows, float *x, float *stored, long layer_step, const long *places,
                      const long *positions, long capacity, const float *cosine, const float *sine) {
    const long hidden = model->hidden, inner = model->inner, head = model->head, heads = model->heads;
    const long kv_heads = model->kv_heads, wide = (heads + 2 * kv_heads) * head, mixed = heads * head;
    const long each = hidden + wide + mixed + 3 * inner;
    float *scratch = malloc((rows * each + padded(capacity)) * sizeof(float));
    if (!scratch) return 1;
    float *normed = scratch, *qkv = normed + rows * hidden, *attended = qkv + rows * wide;
    float *both = attended + rows * mixed, *gated = both + rows * 2 * inner, *weights = gated + rows * inner;
    for (long index = 0; index < model->count; index++) {
        const Layer *layer = &model->layers[index];
        for (long r = 0; r < rows; r++) norm(x + r * hidden, NULL, normed + r * hidden, hidden, model->eps);
        times(&layer->qkv, normed, qkv, rows);
        for (long r = 0; r < rows; r++) {
            float *own = qkv + r * wide, *cache = stored + index * layer_step + places[r], query[head];
            const long at = positions[r];
            const float *c = cosine + at * head, *s = sine + at * head;
            for (long k = 0; k < kv_heads; k++) {
                turn(own + (heads + k) * head, c, s, cache + (k * capacity + at) * head, head);
                memcpy(cache + ((kv_heads + k) * capacity + at) * head, own + (heads + kv_heads + k) * head,
                       head * sizeof(float));
            }
            for (long h = 0; h < heads; h++) {
                const long k = h / (heads / kv_heads);
                turn(own + h * head, c, s, query, head);
                attend(query, cache + k * capacity * head, cache + (kv_heads + k) * capacity * head, at + 1, head, weights,
                       attended + r * mixed + h * head);
            }
        }
        times(&layer->out, attended, normed, rows);
        join(x, normed, rows * hidden);
        for (long r = 0; r < rows; r++) norm(x + r * hidden, NULL, normed + r * hidden, hidden, model->eps);
        times(&layer->both, normed, both, rows);
        for (long r = 0; r < rows; r++) gate(both + r * 2 * inner, gated + r * inner, inner);
        times(&layer->down, gated, normed, rows);
        join(x, normed, rows * hidden);
    }
    for (long r = 0; r < rows; r++) norm(x + r * hidden, model->norm, x + r * hidden, hidden, model->eps);
    free(scratch);
    return 0;
}

/* The flow head: C and 2 · inner are multiples of 64 */

typedef struct {
    Weight entry, condition, modulation, exit;
    const Weight *both, *down; /* of every layer */
    const float *offset; /* [(3L + 2) C], added to the modulation */
    long width, latent, inner, layers;
    float eps;
} Head;

/* Conditions [R, C] and embedded times [S, C] -> modulation [S, R, (3L + 2) C], for S = 0 times [R, C], one a row ->
   [R, (3L + 2) C]. */
EXPORT int head_modulate(const Head *head, long rows, long count, const float *condition, const float *embedded,
                         float *made) {
    const long paired = count == 0;
    if (paired) count = 1;
    const long width = head->width, all_widths = (3 * head->layers + 2) * width;
    float *scratch = malloc((rows + rows * count) * width * sizeof(float));
    if (!scratch) return 1;
    float *own = scratch, *signal = scratch + rows * width;
    times(&head->condition, condition, own, rows);
    for (long s = 0; s < count; s++)
        for (long r = 0; r < rows; r++) {
            const float *when = embedded + (paired ? r : s) * width;
            for (long i = 0; i < width; i += WIDTH)
                store(signal + (s * rows + r) * width + i, silu(add(load(own + r * width + i), load(when + i))));
        }
    times(&head->modulation, signal, made, rows * count);
    for (long r = 0; r < rows * count; r++) join(made + r * all_widths, head->offset, all_widths);
    free(scratch);
    return 0;
}

/* y · scale + shift */
static void modulate(float *y, const float *shift, const float *scale, long width) {
    for (long i = 0; i < width; i += WIDTH) store(y + i, multiply_add(load(y + i), load(scale + i), load(shift + i)));
}

/* Points [P, X], P = R or 1 for all rows, under modulations [R, (3L + 2) C] -> velocities [R, padded X]. */
EXPORT int head_velocity(const Head *head, long rows, long points, const float *x, const float *modulation,
                         float *velocity) {
    const long width = head->width, inner = head->inner, step = (3 * head->layers + 2) * width;
    float *scratch = malloc(rows * (2 * width + 3 * inner) * sizeof(float));
    if (!scratch) return 1;
    float *hidden = scratch, *normed = hidden + rows * width, *both = normed + rows * width, *gated = both + rows * 2 * inner;
    times(&head->entry, x, hidden, points);
    for (long r = points; r < rows; r++) memcpy(hidden + r * width, hidden, width * sizeof(float));
    for (long index = 0; index <= head->layers; index++) {
        const float *own = modulation + index * 3 * width;
        for (long r = 0; r < rows; r++) {
            norm(hidden + r * width, NULL, normed + r * width, width, head->eps);
            modulate(normed + r * width, own + r * step, own + r * step + width, width);
        }
        if (index == head->layers) break;
        times(&head->both[index], normed, both, rows);
        for (long r = 0; r < rows; r++) gate(both + r * 2 * inner, gated + r * inner, inner);
        times(&head->down[index], gated, normed, rows);
        for (long r = 0; r < rows; r++)
            for (long i = 0; i < width; i += WIDTH) {
                float *at = hidden + r * width + i;
                store(at, multiply_add(load(normed + r * width + i), load(own + r * step + 2 * width + i), load(at)));
            }
    }
    times(&head->exit, normed, velocity, rows);
    free(scratch);
    return 0;
}

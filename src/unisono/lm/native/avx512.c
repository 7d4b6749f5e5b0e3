/* Kernels in AVX-512 (F, BW, DQ, VL). */
#include "kernels.h"

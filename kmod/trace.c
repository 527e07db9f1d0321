// SPDX-License-Identifier: GPL-2.0
/*
 * trace.c - the bodies of the trace events (floor 2).
 */
#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

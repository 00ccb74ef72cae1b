/*
 * An AVL tree of ranges, ordered by lo. Since ranges are disjoint and never adjacent, the
 * order by hi is the same one, and a search may use either. The recursions below go as deep
 * as the tree is high: at most 1.45 log2(ranges), so 44 levels for 2^30 ranges.
 *
 * Nodes are moved by links alone, never by content: a pointer to a node stays that range's.
 */
#include "base/rangeset.h"

#include <assert.h>

enum side {
	LEFT,
	RIGHT,
};

struct range_node {
	struct range range;
	struct range_node *child[2];
	int height; /* of a leaf: 1 */
};

const uint32_t tern_range_node_size = sizeof(struct range_node);

static uint32_t range_len(struct range r)
{
	return seq_diff(r.hi, r.lo);
}

static int height(const struct range_node *tree)
{
	return tree ? tree->height : 0;
}

static void measure(struct range_node *tree)
{
	const int left = height(tree->child[LEFT]), right = height(tree->child[RIGHT]);
	tree->height = 1 + (left > right ? left : right);
}

/* How much higher the given side is than the other. */
static int lean(const struct range_node *tree, enum side side)
{
	return height(tree->child[side]) - height(tree->child[!side]);
}

/* Makes the child on that side the root. */
static struct range_node *lift(struct range_node *tree, enum side side)
{
	struct range_node *root = tree->child[side];
	tree->child[side] = root->child[!side];
	root->child[!side] = tree;
	measure(tree);
	measure(root);
	return root;
}

/* Restores the balance of a tree one of whose sides grew or shrank by one. */
static struct range_node *balance(struct range_node *tree)
{
	measure(tree);
	for (int i = LEFT; i <= RIGHT; i++) {
		const enum side side = (enum side)i;
		if (lean(tree, side) < 2)
			continue;
		if (lean(tree->child[side], side) < 0)
			tree->child[side] = lift(tree->child[side], !side);
		return lift(tree, side);
	}
	return tree;
}

static struct range_node *insert(struct range_node *tree, struct range_node *node)
{
	if (!tree)
		return node;
	const enum side side = seq_lt(node->range.lo, tree->range.lo) ? LEFT : RIGHT;
	tree->child[side] = insert(tree->child[side], node);
	return balance(tree);
}

/* Takes the lowest node out of a tree; returns what is left. */
static struct range_node *take_first(struct range_node *tree, struct range_node **first)
{
	if (!tree->child[LEFT]) {
		*first = tree;
		return tree->child[RIGHT];
	}
	tree->child[LEFT] = take_first(tree->child[LEFT], first);
	return balance(tree);
}

/* Takes that node out of the tree, which holds it; returns what is left. */
static struct range_node *take(struct range_node *tree, const struct range_node *node)
{
	assert(tree);
	if (tree == node) {
		struct range_node *heir;
		if (!tree->child[RIGHT])
			return tree->child[LEFT];
		struct range_node *right = take_first(tree->child[RIGHT], &heir);
		heir->child[LEFT] = tree->child[LEFT];
		heir->child[RIGHT] = right;
		return balance(heir);
	}
	const enum side side = seq_lt(node->range.lo, tree->range.lo) ? LEFT : RIGHT;
	tree->child[side] = take(tree->child[side], node);
	return balance(tree);
}

/* Sets a node's range to one that has the same neighbours. */
static void resize(struct rangeset *set, struct range_node *node, struct range r)
{
	set->bytes += range_len(r) - range_len(node->range);
	node->range = r;
}

static void enter(struct rangeset *set, struct range_node *node, struct range r)
{
	*node = (struct range_node){.range = r, .height = 1};
	set->root = insert(set->root, node);
	set->count++;
	set->bytes += range_len(r);
}

static void delete (struct rangeset *set, struct pool *nodes, struct range_node *node)
{
	set->root = take(set->root, node);
	set->count--;
	set->bytes -= range_len(node->range);
	tern_pool_put(nodes, node);
}

static struct range_node *outermost(const struct rangeset *set, enum side side)
{
	struct range_node *node = set->root;
	while (node && node->child[side])
		node = node->child[side];
	return node;
}

/* The lowest range that reaches s: whose hi is s or lies after it. */
static struct range_node *reaching(const struct rangeset *set, tern_seq s)
{
	struct range_node *found = NULL;
	for (struct range_node *node = set->root; node;) {
		const bool reaches = seq_geq(node->range.hi, s);
		if (reaches)
			found = node;
		node = node->child[reaches ? LEFT : RIGHT];
	}
	return found;
}

/* The lowest range whose hi lies after s. */
static struct range_node *ending_after(const struct rangeset *set, tern_seq s)
{
	return reaching(set, seq_add(s, 1));
}

int tern_rangeset_add(struct rangeset *set, struct pool *nodes, struct range r, uint32_t max)
{
	assert(seq_leq(r.lo, r.hi));
	if (seq_eq(r.lo, r.hi))
		return 0;
	struct range_node *node = reaching(set, r.lo);
	if (!node || seq_gt(node->range.lo, r.hi)) {
		if (set->count >= max)
			return TERN_ENOSPC;
		node = tern_pool_get(nodes);
		if (!node)
			return TERN_ENOMEM;
		enter(set, node, r);
		return 0;
	}
	/* node is the lowest that r touches: it takes in r and all others that r touches. */
	r.lo = seq_min(r.lo, node->range.lo);
	r.hi = seq_max(r.hi, node->range.hi);
	for (;;) {
		struct range_node *next = ending_after(set, node->range.hi);
		if (!next || seq_gt(next->range.lo, r.hi))
			break;
		r.hi = seq_max(r.hi, next->range.hi);
		delete (set, nodes, next);
	}
	resize(set, node, r);
	return 0;
}

/* Removes r from the inside of a node's range. */
static int split(struct rangeset *set, struct pool *nodes, struct range_node *node, struct range r)
{
	struct range_node *upper = tern_pool_get(nodes);
	if (!upper)
		return TERN_ENOMEM;
	const struct range whole = node->range;
	resize(set, node, (struct range){whole.lo, r.lo});
	enter(set, upper, (struct range){r.hi, whole.hi});
	return 0;
}

int tern_rangeset_remove(struct rangeset *set, struct pool *nodes, struct range r)
{
	assert(seq_leq(r.lo, r.hi));
	if (seq_eq(r.lo, r.hi))
		return 0;
	for (;;) {
		struct range_node *node = ending_after(set, r.lo);
		if (!node || seq_geq(node->range.lo, r.hi))
			return 0;
		const struct range had = node->range;
		const bool keeps_low = seq_lt(had.lo, r.lo), keeps_high = seq_gt(had.hi, r.hi);
		if (keeps_low && keeps_high)
			return split(set, nodes, node, r);
		if (keeps_low)
			resize(set, node, (struct range){had.lo, r.lo});
		else if (keeps_high)
			resize(set, node, (struct range){r.hi, had.hi});
		else
			delete (set, nodes, node);
	}
}

void tern_rangeset_remove_below(struct rangeset *set, struct pool *nodes, tern_seq s)
{
	for (;;) {
		struct range_node *node = outermost(set, LEFT);
		if (!node || seq_geq(node->range.lo, s))
			return;
		if (seq_gt(node->range.hi, s))
			resize(set, node, (struct range){s, node->range.hi});
		else
			delete (set, nodes, node);
	}
}

void tern_rangeset_remove_from(struct rangeset *set, struct pool *nodes, tern_seq s)
{
	for (;;) {
		struct range_node *node = outermost(set, RIGHT);
		if (!node || seq_leq(node->range.hi, s))
			return;
		if (seq_lt(node->range.lo, s))
			resize(set, node, (struct range){node->range.lo, s});
		else
			delete (set, nodes, node);
	}
}

static bool tell(const struct range_node *node, struct range *out)
{
	if (node)
		*out = node->range;
	return node;
}

bool tern_rangeset_first(const struct rangeset *set, struct range *out)
{
	return tell(outermost(set, LEFT), out);
}

bool tern_rangeset_last(const struct rangeset *set, struct range *out)
{
	return tell(outermost(set, RIGHT), out);
}

bool tern_rangeset_after(const struct rangeset *set, tern_seq s, struct range *out)
{
	return tell(ending_after(set, s), out);
}

bool tern_rangeset_contains(const struct rangeset *set, tern_seq s)
{
	const struct range_node *node = ending_after(set, s);
	return node && seq_leq(node->range.lo, s);
}

bool tern_rangeset_gap(const struct rangeset *set, struct range within, struct range *gap)
{
	const struct range_node *node = ending_after(set, within.lo);
	if (node && seq_leq(node->range.lo, within.lo)) {
		within.lo = node->range.hi;
		node = ending_after(set, within.lo);
	}
	if (seq_geq(within.lo, within.hi))
		return false;
	gap->lo = within.lo;
	gap->hi = node ? seq_min(node->range.lo, within.hi) : within.hi;
	return true;
}

static void give_back(struct range_node *tree, struct pool *nodes)
{
	if (!tree)
		return;
	give_back(tree->child[LEFT], nodes);
	give_back(tree->child[RIGHT], nodes);
	tern_pool_put(nodes, tree);
}

void tern_rangeset_clear(struct rangeset *set, struct pool *nodes)
{
	give_back(set->root, nodes);
	*set = (struct rangeset){0};
}

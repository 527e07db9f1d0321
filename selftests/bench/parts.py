# SPDX-License-Identifier: GPL-2.0
"""What a function of the kernel is for: the parts in which docs/performance.md tells
where the instructions of a packet go. Each function belongs to one of them."""

import re

REST = 'the rest'

# By name, or by module; the first that matches counts. ChaCha20 makes the kernel's random
# numbers, too: a few instructions of it are there without such a cipher.
PARTS = (
    ("the cipher's driver",
     r'\[(aesni_intel|(lib)?(chacha|poly1305|curve25519)\w*|sha1_ssse3)\]|'
     r'^chacha_'),
    ('the crypto API around it: lists of memory, wrappers, FPU',
     r'\[(crypto_simd|cryptd|seqiv|echainiv|authenc|gcm|ctr)\]|^_*(crypto_|scatterwalk_|'
     r'skcipher_|shash_|null_|sg_|skb_to_sgvec|kernel_fpu_|irq_fpu_usable|aead_)'),
    ('IPsec itself, or WireGuard',
     r'\[(kipsec|esp[46](_offload)?|tunnel[46]|wireguard|(ip6_)?udp_tunnel)\]|xfrm|'
     r'^(decode_session|policy_hash_|secpath_|esp_|gro_cell)'),
    ('netfilter', r'^nf_'),
    ('checksums, also while copied', r'csum|checksum|^ip_send_check'),
    ('bytes copied, moved or set',
     r'^mem(cpy|move|set|cmp)|copy_(user|bits|to|from|datagram)|iov|datagram_iter|'
     r'^__check_(object|heap)'),
    ('memory taken and given back',
     r'k[mz]alloc|kfree|kmem_cache|slab|alloc_skb|_skb_around|'
     r'skb_(release|free|ext|clone|attempt)|expand_head|cache_from_obj|consume_skb|page|'
     r'^(setup_object|rmqueue|put_cpu_partial|__unfreeze|get_partial|free_pcp)'),
    ('routes', r'fib|^_*(ip6?_route|ip6_pol|ip6?_dev_find|rt6?_|dst_|inet_lookup_if)|dst_(mtu|'
               r'check|hoplimit)|^(ipv4|ip6)_mtu|find_exception|^ip6?_sk_dst'),
    ('segments cut and joined', r'gso|(^|_)gro_|skb_segment|coalesce'),
    ('sent: IP, neighbour, device',
     r'^_*ip6?_(output|finish|local_out|queue_xmit|copy_addrs|select_ident)|dev_queue_xmit|'
     r'dev_hard|veth_xmit|validate_xmit|skb_features|skb_network_protocol|passthru_features|'
     r'dev_forward|eth_type|pick_tx|apparmor_ip'),
    ('forwarded', r'^ip6?_forward'),
    ('received: device, IP',
     r'netif_r|backlog|^ip6?_(rcv|local_deliver|protocol_deliver|input|list|sublist)|^ipv6_rcv|'
     r'frag|^ip_copy_meta|flow_dissect|flow_get|get_hash|siphash|napi|net_rx|'
     r'raw6?_local|early_demux|veth_poll|veth_xdp'),
    ('tasks, workers, timers',
     r'sched|(^|_)work|pwq|wq_|wake|ttwu|task|_rq|cfs|entity|psi_|switch_|preempt|softirq|'
     r'tasklet|timer|^_*(native_load|load_|update_|check_spread|place_|clear_budd|set_next|'
     r'kthread|resched|[rw][dr]gsbase|cpuacct|record_times|hrtick|smpboot|enter_lazy|ktime)'),
    ('RCU, locks, lists, trees', r'rcu|spin_|local_bh|migrate_|cmpxchg|^queued_|^__list_|^rb_'),
    ('sockets: TCP, UDP', r'tcp|udp|sock|^_*sk_|sys_|inet|make_skb|append_data|cork|msg'),
)

NAMES = [part for part, _ in PARTS] + [REST]
_COMPILED = [(part, re.compile(pattern)) for part, pattern in PARTS]


def part_of(name):
    return next((part for part, pattern in _COMPILED if pattern.search(name)), REST)


def sums(insns):
    """Instructions by part, in the order of NAMES, of instructions by function."""
    total = dict.fromkeys(NAMES, 0)
    for name, count in insns.items():
        total[part_of(name)] += count
    return total

// The engine's own threads. `run` shares numbered tasks among them and returns when all are done.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace under20k {

class ThreadPool {
public:
    // The calling thread is one of `threads`; the others wait here until there is work.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(shares_.size()); }

    // Calls task(index, thread) for every index below `tasks`. A task must not throw. Each thread begins with
    // a share of its own, the same every time but in turn forwards and backwards, so that it begins with the data
    // that are still in its caches; whoever is done helps the others. Which thread does a task, and when, must
    // not matter to the result.
    template <typename Task>
    void run(int tasks, const Task& task) {
        run(tasks, [](const void* context, int index, int thread) { (*static_cast<const Task*>(context))(index, thread); },
            &task);
    }

private:
    using Call = void (*)(const void* context, int index, int thread);

    // On a cache line of its own, for every thread counts in it.
    struct alignas(64) Share {
        std::atomic<int> next{0};
        int begin = 0, end = 0;
    };

    void run(int tasks, Call call, const void* context);
    void work(int thread);
    void live(int thread);

    std::vector<Share> shares_;
    std::vector<std::thread> others_;
    Call call_ = nullptr;
    const void* context_ = nullptr;
    bool descending_ = false;
    alignas(64) std::atomic<uint32_t> round_{0};
    alignas(64) std::atomic<int> busy_{0};
    std::atomic<bool> stop_{false};
};

}  // namespace under20k

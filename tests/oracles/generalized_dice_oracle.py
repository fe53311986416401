"""Generalized Dice loss written a second time, voxel by voxel, from the equation of Sudre et al. (DLMIA 2017)."""


def generalized_dice(probabilities, reference):
    """Return 1 - 2 sum_c w_c sum_n r_cn p_cn / sum_c w_c sum_n (r_cn + p_cn), with w_c = 1 / (sum_n r_cn)^2.

    A class without reference voxels has the weight of the other one, the largest that is finite.
    """
    volume = {"background": 0, "lesion": 0}
    overlap = {"background": 0.0, "lesion": 0.0}
    total = {"background": 0.0, "lesion": 0.0}
    for p, r in zip(probabilities.ravel(), reference.ravel(), strict=True):
        for name, p_class, r_class in (("background", 1 - p, 1 - r), ("lesion", p, r)):
            volume[name] += r_class
            overlap[name] += r_class * p_class
            total[name] += r_class + p_class
    weight = {name: volume[name] ** -2.0 for name in volume if volume[name] > 0}
    for name in volume:
        weight.setdefault(name, max(weight.values()))
    numerator = sum(weight[name] * overlap[name] for name in weight)
    denominator = sum(weight[name] * total[name] for name in weight)
    return 1 - 2 * numerator / denominator
